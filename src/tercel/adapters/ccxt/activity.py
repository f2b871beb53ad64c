"""In which symbols there may be trades that were not read yet.

Venues tell trades symbol by symbol. Forty symbols would be forty calls for each look at the
account, and with ten calls in ten seconds the account would be seen a minute late. A symbol is
asked for while something is there (an order, a position), until `LATE_MS` after the last thing that
happened in it (an order of ours was sent, cancelled or asked about; the user stream named it), and
once after every moment in which something may have gone unheard: at the start, and when the user
stream was interrupted. While that is down nobody tells of trades by hand in a symbol that is flat
again at the next look: each reading then asks some of the symbols besides, in turn. In any other
nothing of ours can have traded.

Where only something unheard speaks for a symbol, somebody else may have traded there, and nothing
is left of it but what it moved on the account. A venue that tells that of all symbols in one call
answers for all of them (`clear`), and once more when late news are in.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

LATE_MS = 120_000
"""How late after its order a trade may show up in the venue's list."""
UNHEARD_READINGS = 10
"""Readings in which every symbol is asked for once while the user stream is down."""


@dataclass(frozen=True, slots=True)
class TradesAsked:
    """Symbols that one reading asks trades of, and as of when."""

    symbols: tuple[str, ...]
    now_ms: int
    doubts: int
    doubtful: frozenset[str] = frozenset()
    """Those of them in which nothing is known to have happened."""

    def without(self, cleared: Collection[str]) -> TradesAsked:
        """The same but for `cleared`."""
        left = tuple(symbol for symbol in self.symbols if symbol not in cleared)
        return replace(self, symbols=left)


class Activity:
    """What happened in which symbol, as far as it decides where trades are looked for."""

    def __init__(self) -> None:
        self._happened_ms: dict[str, int] = {}
        self._read_ms: dict[str, int] = {}
        self._read_doubts: dict[str, int] = {}
        self._cleared: dict[str, tuple[int, int]] = {}
        """Of symbols that were cleared: as of which doubt, and when first, ms."""
        self._busy: frozenset[str] = frozenset()
        """Symbols that had an order or a position when the account was last read."""
        self._doubts = 0
        self._is_heard = True
        self._part = 0
        """Of UNHEARD_READINGS parts of the symbols: the one whose turn it is."""

    def note(self, symbol: str, now_ms: int) -> None:
        """Something happened in `symbol`."""
        self._happened_ms[symbol] = now_ms

    def doubt(self) -> None:
        """Something may have gone unheard: every symbol is asked for once more."""
        self._doubts += 1

    def hear(self, *, is_up: bool) -> None:
        """The user stream came or went, and either may have left something unheard."""
        self._is_heard = is_up
        self.doubt()

    def to_ask(self, symbols: Sequence[str], busy: Collection[str], now_ms: int) -> TradesAsked:
        """Whose trades are to be read now; `busy` have an order or a position."""
        for symbol in self._busy.union(busy):
            self.note(symbol, now_ms)
        self._busy = frozenset(busy)
        part = symbols[self._part :: UNHEARD_READINGS] if not self._is_heard else ()
        wanted = tuple(
            symbol for symbol in symbols if symbol in part or self._is_open(symbol, now_ms)
        )
        doubtful = frozenset(s for s in wanted if s not in part and not self._has_happened(s))
        return TradesAsked(wanted, now_ms, self._doubts, doubtful)

    def were_read(self, asked: TradesAsked) -> None:
        """The trades were read and are handed on."""
        for symbol in asked.symbols:
            self._read_ms[symbol] = asked.now_ms
            self._read_doubts[symbol] = asked.doubts
        if not self._is_heard:
            self._part = (self._part + 1) % UNHEARD_READINGS

    def clear(self, asked: TradesAsked, cleared: Collection[str]) -> None:
        """Nothing has moved on the account in the `cleared` of the asked symbols. That may be told
        as late as a trade: it is looked at once more `LATE_MS` later, and then believed.
        """
        for symbol in cleared:
            if self._cleared.get(symbol, (-1, 0))[0] == asked.doubts:
                self._read_ms[symbol] = asked.now_ms
                self._read_doubts[symbol] = asked.doubts
            else:
                self._cleared[symbol] = asked.doubts, asked.now_ms

    def _is_open(self, symbol: str, now_ms: int) -> bool:
        if self._has_happened(symbol):
            return True
        if self._read_doubts.get(symbol) == self._doubts:
            return False
        doubts, cleared_ms = self._cleared.get(symbol, (-1, 0))
        return doubts != self._doubts or now_ms > cleared_ms + LATE_MS

    def _has_happened(self, symbol: str) -> bool:
        """Whether something happened there whose trades may not be read yet."""
        happened_ms = self._happened_ms.get(symbol)
        read_ms = self._read_ms.get(symbol)
        return happened_ms is not None and (read_ms is None or read_ms <= happened_ms + LATE_MS)
