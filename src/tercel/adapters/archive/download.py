"""Files of an HTTP archive, each with its checksum file beside it.

In order, for each file: read `<url>.CHECKSUM`; continue or begin `<name>.part`; compare SHA-256.
Anything that may pass (429, 418, 5xx, a cut connection, a wrong checksum) is tried again by
`app/patience.py`; a 404 means that the file is not there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp

from tercel.adapters.archive.partial import PartialFile, sha256_of
from tercel.app.patience import Patience, TryAgainError, parse_retry_after
from tercel.app.ports import Clock
from tercel.domain.errors import VenueError
from tercel.domain.fetch_policy import FetchPolicy

FILE_BYTES_MAX = 1 << 28
"""256 MiB; a month of 1m klines is about 2 MiB zipped."""
CHUNK_BYTES = 1 << 16
_NOT_NOW = (408, 418, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Download:
    """A file whose checksum was right. `release` once its content is stored elsewhere."""

    content: bytes
    file: PartialFile

    def release(self) -> None:
        """Delete the partial file: it has served its purpose."""
        self.file.discard()


class Downloader:
    """Downloads checked files, a few at a time, into `folder`."""

    def __init__(self, policy: FetchPolicy, clock: Clock, folder: Path, *, seed: int = 0) -> None:
        self._policy = policy
        self._clock = clock
        self._folder = folder
        self._patience = Patience(policy, clock, seed=seed)
        self._slots = asyncio.Semaphore(policy.downloads_max)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, name: str) -> Download | None:
        """The file at `url`, kept as `<folder>/<name>.part` meanwhile; None: it is not there.

        Raises VenueError after the last try, StorageError when the disk refuses.
        """
        what = url.rsplit("/", 1)[-1]
        attempt = partial(self._attempt, url, PartialFile(self._folder / name))
        return await self._patience.keep_trying(f"{what} from {self._policy.archive_url}", attempt)

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _attempt(self, url: str, file: PartialFile) -> Download | None:
        async with self._slots:
            try:
                return await self._checked(url, file)
            except TimeoutError:
                raise TryAgainError(
                    f"no answer within {self._policy.timeout_seconds:g} s"
                ) from None
            except aiohttp.ClientError as error:
                raise TryAgainError(f"{type(error).__name__}: {error}") from None

    async def _checked(self, url: str, file: PartialFile) -> Download | None:
        expected = await self._expected_sha256(f"{url}.CHECKSUM")
        if expected is None:
            return None
        content = file.content()
        if sha256_of(content) != expected:
            if not await self._pull(url, file):
                return None
            content = file.content()
            got = sha256_of(content)
            if got != expected:
                file.discard()
                raise TryAgainError(
                    f"SHA-256 of {len(content):,} bytes is wrong: expected {expected}, got {got}"
                )
        return Download(content, file)

    async def _expected_sha256(self, url: str) -> str | None:
        """First word of a checksum file: `<64 hex digits>  BTCUSDT-1m-2024-03.zip`."""
        await self._patience.turn()
        async with self._client().get(url) as response:
            if response.status == 404:
                return None
            self._refuse(response)
            text = (await response.text(errors="replace")).strip()
        digest = text.split()[0].lower() if text else ""
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise TryAgainError(f"{url} holds no SHA-256 but {text[:60]!r}")
        return digest

    async def _pull(self, url: str, file: PartialFile) -> bool:
        """Complete `file`; False: it is not there."""
        await self._patience.turn()
        headers = file.resume_headers()
        async with self._client().get(url, headers=headers) as response:
            if response.status == 404:
                return False
            if response.status == 416:
                file.discard()
                raise TryAgainError("the part downloaded earlier does not fit (416); begun anew")
            self._refuse(response)
            resumed = response.status == 206
            if resumed and not _continues(response, file.held_bytes()):
                file.discard()
                raise TryAgainError("the server continued at another place; begun anew")
            received = file.held_bytes() if resumed else 0
            with file.writing(resumed=resumed, etag=response.headers.get("ETag")) as write:
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    received += len(chunk)
                    if received > FILE_BYTES_MAX:
                        raise VenueError(
                            f"{url}: more than {FILE_BYTES_MAX:,} bytes: not an archive file"
                        )
                    write(chunk)
        return True

    def _refuse(self, response: aiohttp.ClientResponse) -> None:
        """Raise for every status but success; 404 and 416 are the caller's."""
        if response.status in _NOT_NOW:
            after = parse_retry_after(response.headers.get("Retry-After"), self._clock.now_ms())
            raise TryAgainError(f"HTTP {response.status} {response.reason}", after)
        if response.status not in (200, 206):
            raise VenueError(
                f"{response.url}: HTTP {response.status} {response.reason}; the archive refuses "
                f"this address or this place: check fetch.archive_url, or use --no-archive"
            )

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            seconds = self._policy.timeout_seconds
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds),
                headers={"User-Agent": "tercel"},
                trust_env=True,
            )
        return self._session


def _continues(response: aiohttp.ClientResponse, held_bytes: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {held_bytes}-")
