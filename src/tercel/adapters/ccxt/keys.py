"""A venue's API keys: from the environment, else from `.env` in the working folder.

They are read here and handed to the client; nothing prints, logs or journals them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tercel.domain.errors import ConfigError, UserError

ENV_FILE_BYTES_MAX = 65_536
VARIABLES: dict[str, tuple[str, str]] = {
    "binance-usdm": ("TERCEL_BINANCE_API_KEY", "TERCEL_BINANCE_API_SECRET"),
}
"""Names of key and secret by venue."""


@dataclass(frozen=True, slots=True, repr=False)
class ApiKeys:
    """A key and its secret. Printing it shows neither."""

    key: str
    secret: str
    origin: str = ""
    """Which variables they were read from, and where those were."""

    def __repr__(self) -> str:
        return "ApiKeys(***)"

    def redact(self, text: str) -> str:
        """`text` without key and secret."""
        for part in (self.secret, self.key):
            if part:
                text = text.replace(part, "***")
        return text


def read_keys(venue: str, environment: Mapping[str, str], folder: Path) -> ApiKeys:
    """The keys of `venue`. Raises UserError where there are none, ConfigError for a bad `.env`.

    The environment wins; the file is not even opened when it has both.
    """
    names = VARIABLES.get(venue)
    if names is None:
        raise UserError(f"no keys are known for {venue!r}; there are {', '.join(VARIABLES)}")
    found = {name: environment.get(name, "").strip() for name in names}
    origins = [f"{name} in the environment" for name in names]
    if not all(found.values()):
        kept = read_env_file(folder / ".env")
        origins = [
            origin if found[name] else f"{name} in {folder / '.env'}"
            for name, origin in zip(names, origins, strict=True)
        ]
        found = {name: value or kept.get(name, "") for name, value in found.items()}
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} not set: put them into the environment or into "
            f"{folder / '.env'} (readable by you alone)"
        )
    key, secret = (found[name] for name in names)
    if not (key + secret).isascii() or any(part.split() != [part] for part in (key, secret)):
        raise ConfigError(f"{names[0]} or {names[1]} holds spaces or characters no key has")
    return ApiKeys(key, secret, " and ".join(origins))


def read_env_file(path: Path) -> dict[str, str]:
    """NAME=VALUE lines of `path`; `export`, quotes and # lines as shells have them. None: empty.

    Raises ConfigError where others can read the file, or a line cannot be understood: the line's
    number is named, never its content.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    try:
        _check_private(path, os.fstat(descriptor))
        raw = os.read(descriptor, ENV_FILE_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(raw) > ENV_FILE_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {ENV_FILE_BYTES_MAX} bytes: that is no .env file")
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    values: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier():
            raise ConfigError(f"{path}: line {number} is not NAME=VALUE")
        values[name] = _unquoted(value)
    return values


def _unquoted(value: str) -> str:
    for quote in ("'", '"'):
        if value.startswith(quote):
            inside, end, _ = value[1:].partition(quote)
            return inside if end else value
    return value.split(" #", 1)[0].rstrip()


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is not a plain file")
    if status.st_uid != os.getuid():
        raise ConfigError(f"{path} belongs to somebody else: its keys are not used")
    if status.st_mode & 0o077:
        raise ConfigError(
            f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):03o}); "
            f"keep it to yourself: chmod 600 {path}"
        )
