"""The only place where settings become wired objects. Entry points ask here; nothing else knows the
adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tercel.adapters.config import LoadedSettings
    from tercel.adapters.lake import LakeBarStore, LakeContextStore
    from tercel.adapters.ledger import LedgerFile
    from tercel.adapters.promotions import PromotionFiles
    from tercel.adapters.report.walk_log import TrialFile
    from tercel.app.fetch_data import BarSources
    from tercel.app.ports import Clock, Journal, StateLease, StateStore, Workers
    from tercel.domain.fetch_policy import FetchPolicy, SourceChoice
    from tercel.domain.lease import LeaseHolder
    from tercel.domain.settings import Settings


def load_everything(config: Path | None = None, overrides: Sequence[str] = ()) -> LoadedSettings:
    """Settings with their origins, and the strategy parameters of `--set`. Raises ConfigError."""
    from tercel.adapters.config import packaged_config_dir, read_settings

    if config is not None and not config.exists() and config.parts[:-1] == ("config", "runs"):
        # Those that come with Tercel are found from any folder.
        config = packaged_config_dir() / "runs" / config.name
    return read_settings(run_file=config, overrides=overrides)


def load_settings(config: Path | None = None, overrides: Sequence[str] = ()) -> Settings:
    """The settings alone. Raises ConfigError."""
    return load_everything(config, overrides).settings


def start_logs(settings: Settings, file: Path | None = None) -> None:
    """Structured logs to standard error, as the settings want them; or JSON lines at the end of
    `file`, which its owner alone can read, where the screen is taken by a view. Raises
    StorageError where the file cannot be made.
    """
    from tercel.adapters.logs import configure_logs
    from tercel.app.live.private_files import make_private

    if file is None:
        configure_logs(settings.log.level, settings.log.format)
        return
    make_private(file)
    configure_logs(settings.log.level, "json", file.open("a", encoding="utf-8"))


def open_lake(settings: Settings) -> LakeBarStore:
    """The lake of closed bars."""
    from tercel.adapters.lake import LakeBarStore

    return LakeBarStore(settings.data.lake)


def open_context(settings: Settings) -> LakeContextStore:
    """Funding, open interest and other context, kept in the same lake."""
    from tercel.adapters.lake import LakeContextStore

    return LakeContextStore(settings.data.lake)


def open_ledger(settings: Settings) -> LedgerFile:
    """The research ledger: every trial ever run."""
    from tercel.adapters.ledger import LedgerFile

    return LedgerFile(settings.research.ledger)


def system_clock() -> Clock:
    """The machine's clock."""
    from tercel.adapters.clock import SystemClock

    return SystemClock()


def bar_sources(settings: Settings, venue: str, clock: Clock, choice: SourceChoice) -> BarSources:
    """Where bars of `venue` are downloaded from: its bulk archive, if it has one, and its REST.

    REST is the extra `venues`: without it the archive, where there is one, has to do.
    """
    from tercel.adapters.archive import MARKETS, ArchiveBarSource
    from tercel.adapters.ccxt import CcxtBarSource
    from tercel.app.fetch_data import BarSources
    from tercel.core.jit import cache_root

    policy = fetch_policy(settings, venue).chosen(choice)
    archive = rest = None
    if choice.use_archive and venue in MARKETS and policy.archive_url:
        archive = ArchiveBarSource(policy, clock, cache_root() / "downloads")
    if choice.use_rest and (archive is None or find_spec("ccxt") is not None):
        rest = CcxtBarSource(venue, policy, clock)
    return BarSources(archive=archive, rest=rest)


def fetch_policy(settings: Settings, venue: str) -> FetchPolicy:
    """The download settings of one venue."""
    from tercel.domain.fetch_policy import FetchPolicy

    fetch = settings.fetch
    archives = {str(name): url for name, url in fetch.archive_urls.items()}
    rests = {str(name): url for name, url in fetch.rest_urls.items()}
    return FetchPolicy(
        retries=fetch.retries,
        backoff_seconds_first=fetch.backoff_seconds_first,
        backoff_seconds_max=fetch.backoff_seconds_max,
        retry_after_seconds_max=fetch.retry_after_seconds_max,
        requests_per_second=fetch.requests_per_second,
        downloads_max=fetch.downloads_max,
        timeout_seconds=fetch.timeout_seconds,
        archive_url=archives.get(venue) or "",
        rest_url=rests.get(venue) or "",
    )


def workers(settings: Settings, *, count: int | None = None, ray: str | None = None) -> Workers:
    """Who tries combinations: threads here, or the Ray cluster at `ray` (`auto`, HOST:PORT).

    `count` of them; None: as many as the settings say. Raises UserError when Ray is not installed.
    """
    number = settings.walk.workers if count is None else count
    if ray is None:
        from tercel.adapters.workers import ThreadWorkers

        return ThreadWorkers(number)
    from tercel.adapters.ray import RayWorkers

    return RayWorkers(ray, number, settings.walk.ray_wait_seconds)


def trial_log(folder: Path, fingerprint: str, *, fresh: bool = False) -> TrialFile:
    """What is finished of the walk-forward of that fingerprint, kept in `folder`; a context."""
    from tercel.adapters.report.walk_log import TrialFile

    return TrialFile(folder, fingerprint, fresh=fresh)


def open_promotions(settings: Settings) -> PromotionFiles:
    """What `tercel validate` promoted: paper and live ask it before they trade."""
    from tercel.adapters.promotions import PromotionFiles

    return PromotionFiles(Path(settings.validation.folder).expanduser())


STATE_FILE = "state.sqlite"
JOURNAL_FILE = "journal.sqlite"
"""The embedded stores in the session's folder, where no address is set."""


REDIS = ("redis://", "rediss://", "unix://")
"""Beginnings of a Redis server's address."""


def open_lease(url: str, folder: Path) -> StateLease:
    """The right to keep a session's state at `url`, else in a file of `folder`.

    It is taken when it is claimed. Raises ConfigError for an address of another kind.
    """
    if url.startswith(REDIS):
        from tercel.adapters.redis_state import RedisLease

        return RedisLease(url)
    from tercel.adapters.control import FileLease

    return FileLease(_state_file(url, folder))


def open_state(url: str, folder: Path, holder: LeaseHolder | None = None) -> StateStore:
    """The state of a session: at `url` (redis://, sqlite:///PATH), else in a file of `folder`.
    On a server `holder` writes only while it has the lease.

    It connects when it is first asked. Raises ConfigError for an address of another kind.
    """
    if url.startswith(REDIS):
        from tercel.adapters.redis_state import RedisStateStore

        return RedisStateStore(url, holder=holder)
    from tercel.adapters.sqlite_state import SqliteStateStore

    return SqliteStateStore(_state_file(url, folder))


def _state_file(url: str, folder: Path) -> Path:
    """The file of the state at `url`, else in `folder`. Raises ConfigError."""
    from tercel.domain.addresses import without_password
    from tercel.domain.errors import ConfigError

    path = url.removeprefix("sqlite:///")
    if url and (path == url or not path):
        raise ConfigError(
            "state.url: expected redis://HOST:PORT/N, sqlite:///PATH or nothing, "
            f"got {without_password(url)!r}"
        )
    return Path(path).expanduser() if url else folder / STATE_FILE


def open_journal(url: str, folder: Path, *, create: bool = True) -> Journal:
    """The journal of sessions: at `url` (postgresql+asyncpg://, sqlite:///PATH), else in
    a file of `folder`. With `create` False one that is not there is an error when it is read.

    It connects when it is first asked. Raises ConfigError for an address of another kind.
    """
    from tercel.adapters.sql_journal import SqlJournal

    return SqlJournal(url or folder / JOURNAL_FILE, create=create)
