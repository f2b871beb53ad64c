"""Where a venue is reached: its own addresses, or those of a simulated exchange."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tercel.domain.errors import ConfigError
from tercel.domain.live_settings import VenueSettings

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)
_SIGNED = re.compile(
    r"(listenKey|signature|apiKey|secret)\b[\"']?\s*[=:]\s*[\"']?[^\s\"'&,;}]+", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Origins that replace the venue's own; both empty: the venue's own are used."""

    rest_url: str = ""
    stream_url: str = ""

    @property
    def is_own(self) -> bool:
        """Whether the venue itself is meant."""
        return not self.rest_url

    @property
    def is_loopback(self) -> bool:
        """Whether nothing but this machine is contacted."""
        return not self.is_own and all(map(_is_loopback, (self.rest_url, self.stream_url)))


def addresses_of(venue: str, settings: VenueSettings) -> Addresses:
    """The addresses that the settings give for `venue`.

    Raises ConfigError unless both or none is given (orders at the real venue by the prices of a
    simulated one would be the alternative), and for addresses that the client would take for
    something else.
    """
    rest = settings.rest_urls.get(venue, "").rstrip("/")
    stream = settings.stream_urls.get(venue, "").rstrip("/").removesuffix("/ws")
    if bool(rest) != bool(stream):
        raise ConfigError(
            f"venue.rest_urls and venue.stream_urls must both name {venue}, or neither: REST and "
            "streams have to be of the same exchange"
        )
    for name, url, schemes in (
        ("venue.rest_urls", rest, ("http", "https")),
        ("venue.stream_urls", stream, ("ws", "wss")),
    ):
        if url:
            _check(f"{name}.{venue}", url, schemes)
    return Addresses(rest, stream)


def point_at(exchange: Any, addresses: Addresses) -> None:
    """Make a ccxt exchange use `addresses` for everything it could ever contact."""
    if addresses.is_own:
        return
    moved: dict[str, Any] = {}
    for name, url in exchange.urls["api"].items():
        moved[name] = (
            _streams(url, addresses.stream_url)
            if isinstance(url, dict)
            else addresses.rest_url + urlsplit(url).path
        )
    exchange.urls["api"] = moved


def without_secrets(text: str) -> str:
    """`text` without addresses, and without values of what signs a request or opens a stream.

    `url='wss://host/ws?listenKey=abc'` becomes `url='(address)'`, `{"listenKey": "abc"}` becomes
    `{"listenKey=(hidden)"}`.
    """
    return _SIGNED.sub(r"\1=(hidden)", _ADDRESS.sub("(address)", text))


def _streams(urls: dict[str, Any], origin: str) -> dict[str, Any]:
    return {
        name: _streams(url, origin) if isinstance(url, dict) else origin + urlsplit(url).path
        for name, url in urls.items()
    }


def _check(name: str, url: str, schemes: tuple[str, ...]) -> None:
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_good = urlsplit(""), False
    if parts.scheme not in schemes or not parts.hostname or not port_is_good:
        raise ConfigError(f"{name}: {url!r} is not an address like {schemes[0]}://127.0.0.1:9101")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"{name}: an address is scheme, host and port, nothing more")
    if "/stream" in url:
        # ccxt takes any address with these letters for Binance's spot market.
        raise ConfigError(f"{name}: {url!r} must not contain '/stream'")
    if not _is_loopback(url) and parts.scheme in ("http", "ws"):
        raise ConfigError(f"{name}: {url!r} is not this machine: keys only travel over TLS")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
