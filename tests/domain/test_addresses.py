"""Addresses are shown without their secrets, and otherwise as they are."""

from __future__ import annotations

import pytest

from tercel.domain.addresses import without_password
from tercel.domain.settings import redacted


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:pw@h:6379/0", "redis://:(hidden)@h:6379/0"),
        ("redis://me:pw@h", "redis://me:(hidden)@h"),
        ("postgresql+asyncpg://me:p@ss/w:rd@h:5432/db", "postgresql+asyncpg://me:(hidden)@h:5432/db"),
        ("postgresql://me@h/db?password=pw&ssl=on", "postgresql://me@h/db?password=(hidden)&ssl=on"),
        ("a redis://:pw@h and b", "a redis://:(hidden)@h and b"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("postgresql://me@h:5432/db?host=/tmp", "postgresql://me@h:5432/db?host=/tmp"),
        ("https://fapi.binance.com", "https://fapi.binance.com"),
        ("me:pw@h", "me:pw@h"),
        ("", ""),
    ],
)  # fmt: skip
def test_passwords_are_hidden(address: str, shown: str) -> None:
    assert without_password(address) == shown
    assert without_password(shown) == shown
    assert redacted({"urls": [address]}) == {"urls": [shown]}
