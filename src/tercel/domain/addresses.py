"""Addresses of servers (`redis://USER:PASSWORD@HOST/0`) as they may be shown: without secrets."""

from __future__ import annotations

import re

_USER_AND_PASSWORD = re.compile(r"(://[^\s:@/]*):\S+@")
"""Up to the last @: whatever a password is made of, none of it stays."""
_SECRET_ARGUMENT = re.compile(r"([?&][^=&\s]*(?:password|passwd|secret|token)=)[^&\s#]+", re.I)


def without_password(text: str) -> str:
    """`text` with the passwords of all addresses in it hidden; all else as it is."""
    if "://" not in text:
        return text
    return _SECRET_ARGUMENT.sub(r"\1(hidden)", _USER_AND_PASSWORD.sub(r"\1:(hidden)@", text))
