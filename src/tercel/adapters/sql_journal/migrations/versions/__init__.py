"""The changes. One that was released is never edited."""
