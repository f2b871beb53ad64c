"""Listen keys: what a user stream is opened with. One per account; it lives an hour from the last
sign of life.
"""

from __future__ import annotations

import hashlib

from tercel.adapters.simulator.binance.wire import RefusalError


class ListenKeys:
    """The account's key, if there is one. `account` decides what the keys look like."""

    def __init__(self, account: str, life_ms: int) -> None:
        self._account = account
        self._life_ms = life_ms
        self._made = 0
        self._until_ms = 0
        self.current = ""

    def create(self, now_ms: int) -> str:
        """The key that lives, its life extended, or a new one."""
        if not self.is_alive(now_ms):
            self._made += 1
            told = f"listen key {self._account} {self._made}"
            self.current = hashlib.sha256(told.encode()).hexdigest()
        self._until_ms = now_ms + self._life_ms
        return self.current

    def extend(self, now_ms: int) -> str:
        """Another hour. Raises RefusalError -1125 where no key lives."""
        if not self.is_alive(now_ms):
            raise unknown_listen_key()
        self._until_ms = now_ms + self._life_ms
        return self.current

    def delete(self) -> None:
        """End the key: its streams fall silent."""
        self.current = ""
        self._until_ms = 0

    def is_alive(self, now_ms: int, key: str | None = None) -> bool:
        """Whether `key` (or any) opens a stream now."""
        return bool(self.current) and now_ms < self._until_ms and key in (None, self.current)

    def take_expired(self, now_ms: int) -> str:
        """The key whose hour is over, once; else an empty text."""
        if not self.current or now_ms < self._until_ms:
            return ""
        expired = self.current
        self.delete()
        return expired


def unknown_listen_key() -> RefusalError:
    """-1125."""
    return RefusalError(-1125, "This listenKey does not exist.")
