"""The research ledger in a file: a JSON line for each trial, only ever added to."""

from __future__ import annotations

from tercel.adapters.ledger.file import LedgerFile

__all__ = ["LedgerFile"]
