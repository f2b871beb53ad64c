"""How downloads behave: how often they ask, how long they wait, when they give up, and whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tercel.domain.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

CLOSED_AFTER_MS = 10_000
"""A bar counts as closed only this long after its end: our clock may run ahead of the venue's, and
a venue may correct a bar in its first seconds."""


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """What a command line says about where to download from. None: as in the settings."""

    archive_url: str | None = None
    rest_url: str | None = None
    use_archive: bool = True
    use_rest: bool = True


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Manners and bounds of a download. Raises ConfigError where a number makes no sense."""

    retries: int = 5
    """Tries after the first one, for each file and each REST page."""
    backoff_seconds_first: float = 1.0
    backoff_seconds_max: float = 60.0
    """Waits double from the first to this, each shortened at random by up to half."""
    retry_after_seconds_max: float = 300.0
    """A venue that asks to be left alone for longer than this is not waited for."""
    requests_per_second: float = 5.0
    downloads_max: int = 4
    """Archive files in flight at once, over all symbols."""
    timeout_seconds: float = 30.0
    """To connect, and between two packets of an answer."""
    archive_url: str = "https://data.binance.vision"
    rest_url: str = ""
    """Origin instead of the venue's own, such as http://127.0.0.1:9101. Empty: the venue's own."""

    def __post_init__(self) -> None:
        positive = {
            "backoff_seconds_first": self.backoff_seconds_first,
            "backoff_seconds_max": self.backoff_seconds_max,
            "requests_per_second": self.requests_per_second,
            "downloads_max": self.downloads_max,
            "timeout_seconds": self.timeout_seconds,
        }
        for name, value in positive.items():
            if not value > 0:
                raise ConfigError(f"fetch.{name}: must be above 0, got {value}")
        if self.retries < 0:
            raise ConfigError(f"fetch.retries: must not be negative, got {self.retries}")
        for name, url in (("archive_url", self.archive_url), ("rest_url", self.rest_url)):
            if url and not url.startswith(("http://", "https://")):
                raise ConfigError(f"fetch.{name}: must begin with http:// or https://, got {url!r}")

    def chosen(self, choice: SourceChoice) -> FetchPolicy:
        """This policy with the addresses of `choice` where it names any."""
        return replace(
            self,
            archive_url=choice.archive_url or self.archive_url,
            rest_url=choice.rest_url or self.rest_url,
        )

    def backoff_seconds(self, attempt: int, draw: np.random.Generator) -> float:
        """Wait before the try that follows failed try `attempt` (1, 2, ...).

        Worked: first 1 s, at most 60 s; after the third failure 4 s, times a draw from 0.5 to 1.
        """
        doublings = min(attempt - 1, 30)
        whole = min(self.backoff_seconds_first * 2.0**doublings, self.backoff_seconds_max)
        return whole * float(draw.uniform(0.5, 1.0))


def closed_before(now_ms: int, bar_ms: int) -> int:
    """End (exclusive) of the newest bar that is certainly closed at `now_ms`."""
    return (now_ms - CLOSED_AFTER_MS) // bar_ms * bar_ms
