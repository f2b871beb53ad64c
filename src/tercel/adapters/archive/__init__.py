"""Bulk archives of bars: zipped files of whole months and days, each with its checksum."""

from tercel.adapters.archive.source import MARKETS, ArchiveBarSource

__all__ = ["MARKETS", "ArchiveBarSource"]
