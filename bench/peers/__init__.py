"""The same work in other systems, one script each, run in an environment of their own."""
