"""The live half: from a closed bar to an order on the socket, forty symbols, market messages, a day
of memory, a start.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import live_feed, live_market, live_wire
from bench.child import run_child
from bench.measurement import MS_PER_S, Measurement, time_ms
from bench.sma_cross import KEY
from tercel.app.backtest import open_account, open_streams
from tercel.app.signals import quiet_signals, unknown_context
from tercel.core import kernel
from tercel.core.jit import new

if TYPE_CHECKING:
    from bench.bars import Desk

LIVE_BARS = 2_000
LIVE_WARM_UP_BARS = 500
MARKET_MINUTES = 300
FEED_RUNS = 3
STARTS = 4
UNTHROTTLED = "governor.calls_max=10000"
CHILD_LIMIT_S = 400.0
P99 = 99.0
ENTRY_P99_MS_MAX = 10.0
MARKET_MS_MAX = 5.0
MESSAGE_US_MAX = 50.0
"""20,000 a second."""
GROWTH_MIB_MAX = 2.0
START_S_MAX = 3.0


def live(desk: Desk) -> list[Measurement]:
    """Every figure of the live half."""
    return [*one_bar(desk), *entries(desk), *market(desk), *feed(), *day(desk), *start(desk)]


def one_bar(desk: Desk) -> list[Measurement]:
    """One closed bar on the live path: a strategy step and `kernel.on_bar`, called from Python."""
    from bench.bars import three_r_specs

    specs, account_spec = three_r_specs(desk)
    strategy = specs[0].strategy
    params = strategy.parameters.record(specs[0].values, KEY.bar_ms)
    bars = [desk.bars[i] for i in range(LIVE_WARM_UP_BARS + LIVE_BARS)]
    context = unknown_context()[0]

    def through() -> None:
        for bar in bars[LIVE_WARM_UP_BARS:]:
            strategy.step(state, bar, context, params, signal)
            kernel.settle_bar(account, stream, bar, context)
            kernel.mark(account, streams, int(bar.open_time) + KEY.bar_ms)
            kernel.on_bar(account, stream, bar, signal)

    samples: list[float] = []
    for _ in range(desk.runs):
        account: Any = open_account(account_spec)
        streams = open_streams(specs)
        stream = streams[0]
        state = new(strategy.state_dtype(params))
        signal = quiet_signals(1)[0]
        for bar in bars[:LIVE_WARM_UP_BARS]:
            strategy.step(state, bar, context, params, signal)
        samples += time_ms(through, 1, warm_ups=0)
    per_bar = tuple(sample * MS_PER_S / LIVE_BARS for sample in samples)
    work = "three_r, one closed bar on the live path: step and on_bar from Python"
    return [Measurement(work, "µs", per_bar, note=f"mean of {LIVE_BARS:,} bars a run")]


def entries(desk: Desk) -> list[Measurement]:
    """From the final candle's bytes to the entry's bytes, through everything that is in between."""
    told = _child("bench.live_wire", "entries", str(desk.scratch / "entries.json"),
                  str(desk.scratch / "live-entries"), str(live_wire.ENTRIES))  # fmt: skip
    samples = tuple(told["entry_ms"])
    stored = next(row for row in told["table"] if row[0] == "journal and state")
    work = "bar close received, entry written to the socket"
    note = (
        f"{len(samples)} entries; SQLite state and journal are durable before each: median "
        f"{stored[2]:.1f} ms of it, p99 {stored[3]:.1f}"
    )
    arrived = "bar close received, entry received by the exchange's process, p99"
    return [
        Measurement(f"{work}, median", "ms", samples, note=note),
        _p99(f"{work}, p99", samples, ENTRY_P99_MS_MAX, "aimed at 5"),
        _p99(arrived, tuple(told["received_ms"])),
    ]


def market(desk: Desk) -> list[Measurement]:
    """Forty symbols and every strategy on one bar, no I/O."""
    samples = live_market.bar_ms(desk.bars, MARKET_MINUTES)
    work = "40 symbols x 7 strategies, one closed bar through the session"
    note = "signals, settling, decisions, rows for the journal; no I/O"
    return [
        Measurement(work, "ms", samples, MARKET_MS_MAX, note),
        _p99(f"{work}, p99", samples),
    ]


def feed() -> list[Measurement]:
    """Quotes of forty symbols from a socket that never pauses."""
    taken = [live_feed.take_from_another_process() for _ in range(FEED_RUNS)]
    backlog = max(each.backlog_max for each in taken)
    samples = tuple(each.us_a_message for each in taken)
    rate = 1e6 / max(samples)
    note = f"the slowest run took {rate:,.0f} a second; at most {backlog} items waited"
    work = "a market message: socket, ccxt, feed, health, collector"
    return [Measurement(work, "µs", samples, MESSAGE_US_MAX, note)]


def day(desk: Desk) -> list[Measurement]:
    """What 24 hours of forty symbols leave behind."""
    bars = desk.scratch / "bars.npy"
    np.save(bars, desk.bars)
    told = _child("bench.live_market", str(bars), str(desk.scratch / "day.json"))
    resident, traced = told["resident"], told["traced"]
    what = "24 simulated hours of 40 symbols x 7 strategies: growth of"
    note = f"after the first hour; {resident['resident']:.0f} MiB resident in all"
    return [
        Measurement(
            f"{what} Python's memory", "MiB", (traced["since_first_hour"],), GROWTH_MIB_MAX,
            f"tracemalloc, after the first hour; since noon {traced['since_noon']:.2f}",
        ),
        Measurement(f"{what} the process", "MiB", (resident["since_first_hour"],), note=note),
    ]  # fmt: skip


def start(desk: Desk) -> list[Measurement]:
    """A session's process from nothing to its streams, kernels compiled."""
    work = "a live session from its process's start to its streams"
    what = "three_r, 1,000 bars of history, caches warm; the venue answers at once"
    return [
        Measurement(
            work, "s", _starts(desk, "free", UNTHROTTLED), START_S_MAX,
            f"{what}; the governor waits for nothing",
        ),
        Measurement(
            f"{work}, throttled", "s", _starts(desk, "shipped"),
            note="the same with governor.calls_max as shipped: 10 private calls in 10 s",
        ),
    ]  # fmt: skip


def _starts(desk: Desk, name: str, *settings: str) -> tuple[float, ...]:
    """Seconds of each start but the first."""
    made: list[float] = []
    for number in range(STARTS + 1):
        out, folder = (str(desk.scratch / f"{name}-{number}{end}") for end in (".json", ""))
        told = _child("bench.live_wire", "start", out, folder, *settings)
        made.append(float(told["start_s"]))
    return tuple(made[1:])


def _child(module: str, *words: str) -> Any:
    """What a script of the bench wrote into its file: the `.json` among its words."""
    run_child(
        [sys.executable, "-m", module, *words],
        timeout_s=CHILD_LIMIT_S,
        folder=live_wire.FOLDER.parent,
    )
    out = next(Path(word) for word in words if word.endswith(".json"))
    return json.loads(out.read_text(encoding="utf-8"))


def _p99(
    work: str, samples: tuple[float, ...], bar: float | None = None, note: str = ""
) -> Measurement:
    """The 99th percentile as the figure that the bar is held against."""
    return Measurement(work, "ms", (float(np.percentile(samples, P99)),), bar, note)
