"""Tercel beside its peers: the same bars, the same signals, trade by trade.

In order: the floor (a bare numba loop) and Tercel are timed here; each peer is timed by a
script in the peers' environment; every list of trades is compared with Tercel's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.child import ChildError, run_child
from bench.floor import Floor
from bench.market import Crosses, save_for_peers
from bench.measurement import Measurement, figure, table, time_ms
from bench.sma_cross import GivenCrosses, own_averages, trades_of
from bench.trades import Agreement, Trades, compare, read_trades
from tercel.core.records import Records

CHECKOUT = Path(__file__).resolve().parents[1]
ENVIRONMENT = CHECKOUT / ".venv-peers"
PINNED = Path(__file__).with_name("peers.txt")
READY = ENVIRONMENT / "peers.txt"
"""A copy of the pins, written once everything is installed."""
INSTALL_LIMIT_S = 900
FRESH_LIMIT_S = 90.0
FRESH_RUNS = 3
WARM_BAR_MS = 8.0
MUST_EQUAL = "vectorbt"


@dataclass(frozen=True, slots=True)
class Peer:
    """One system to compare with."""

    name: str
    module: str
    repeats: int
    """Warm runs after the first one."""
    limit_s: float
    """Longest time of one process."""
    compiles: bool = False
    """It keeps compiled kernels on disk: its first run is timed without them and with them."""


# With Tercel's own bars the limits stay within ten minutes for everything.
PEERS = (
    Peer("vectorbt", "bench.peers.vectorbt_run", 15, 60.0, compiles=True),
    Peer("backtesting.py", "bench.peers.backtesting_run", 3, 45.0),
    Peer("nautilus_trader", "bench.peers.nautilus_run", 1, 90.0),
    Peer("backtrader", "bench.peers.backtrader_run", 1, 180.0),
)


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the comparison."""

    name: str
    first_s: float | None
    """Import and first run in a fresh process."""
    warm_ms: tuple[float, ...]
    agreement: Agreement | None
    problem: str = ""
    """Why there is no figure, where there is none."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was compared. The first contender is Tercel."""

    measurements: tuple[Measurement, ...]
    contenders: tuple[Contender, ...]

    @property
    def failures(self) -> list[str]:
        """What must never be: trades that differ from those of the peer that must agree."""
        found = []
        for contender in self.contenders:
            agreement = contender.agreement
            must = contender.name.startswith((MUST_EQUAL, "tercel", "bare"))
            if must and contender.problem:
                found.append(f"{contender.name} could not be compared: {contender.problem}")
            if must and agreement and (agreement.unpaired or agreement.equal != agreement.trades):
                found.append(f"{contender.name}: trades differ from Tercel's: {agreement}")
        return found


def install_peers(say: Callable[[str], None]) -> Path:
    """The Python of the peers' environment, made when it is missing or its pins changed."""
    python = ENVIRONMENT / "bin" / "python"
    if READY.is_file() and READY.read_bytes() == PINNED.read_bytes():
        return python
    say(f"installing the peers of {PINNED.name} into {ENVIRONMENT.name} (a few minutes, once)")
    limit = INSTALL_LIMIT_S
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True, timeout=limit)
    install = [str(python), "-m", "pip", "install", "-qq", "-r", str(PINNED)]
    subprocess.run(install, check=True, timeout=limit)
    READY.write_bytes(PINNED.read_bytes())
    return python


def compare_all(
    bars: Records,
    crosses: Crosses,
    scratch: Path,
    peers: tuple[Peer, ...],
    say: Callable[[str], None],
    repeats: int,
) -> Comparison:
    """Time and compare everybody."""
    market = save_for_peers(scratch, bars, crosses)
    say("Tercel and the floor")
    floor, tercel, averages = Floor(bars, crosses), GivenCrosses(bars, crosses), own_averages(bars)
    ours = tercel.trades()
    warm = time_ms(tercel.run, repeats)
    cold_s, cached_s = fresh_runs(bars, market, scratch)
    contenders = [
        Contender("tercel, kernels cached", cached_s, warm, compare(ours, ours)),
        Contender("tercel, nothing compiled yet", cold_s, (), None),
        Contender(
            "tercel, averages computed too",
            None,
            time_ms(averages, repeats),
            compare(ours, trades_of(averages().trades, bars)),
        ),
        Contender(
            "bare numba loop", None, time_ms(floor.run, repeats), compare(ours, floor.trades())
        ),
    ]
    contenders += run_peers(ours, market, peers, say)
    work = "given SMA crosses over 400,000 bars: signals, trades, equity"
    measured = Measurement(work, "ms", warm, WARM_BAR_MS, f"warm, {len(ours):,} trades")
    return Comparison((measured,), tuple(contenders))


def fresh_runs(bars: Records, market: Path, scratch: Path) -> tuple[float, float]:
    """Seconds of the first run in a fresh process: nothing compiled yet, and kernels cached."""
    saved, out = scratch / "bars.npy", scratch / "fresh.json"
    np.save(saved, bars.view(bars.dtype.descr))
    command = [sys.executable, "-m", "bench.fresh_crosses", str(saved), str(market), str(out)]
    environment = {"TERCEL_CACHE_DIR": str(scratch / "fresh-cache")}
    seconds = []
    for _ in range(1 + FRESH_RUNS):
        run_child(command, timeout_s=FRESH_LIMIT_S, folder=CHECKOUT, environment=environment)
        seconds.append(float(json.loads(out.read_text(encoding="utf-8"))["first_s"]))
    return seconds[0], float(np.median(seconds[1:]))


def run_peers(
    ours: Trades, market: Path, peers: tuple[Peer, ...], say: Callable[[str], None]
) -> list[Contender]:
    """Each peer's script in the peers' environment."""
    made: list[Contender] = []
    if not peers:
        return made
    python = install_peers(say)
    for peer in peers:
        say(f"{peer.name} (at most {peer.limit_s * (1 + peer.compiles):g} s)")
        out = market.with_name(f"{peer.name}.json")
        command = [str(python), "-m", peer.module, str(market), str(out)]
        cache = {"NUMBA_CACHE_DIR": str(market.with_name(f"{peer.name}-cache"))}
        try:
            if peer.compiles:
                run_child(
                    [*command, "0"], timeout_s=peer.limit_s, folder=CHECKOUT, environment=cache
                )
                first_s = read_trades(out)[1]["first_s"]
                made.append(Contender(f"{peer.name}, nothing compiled yet", first_s, (), None))
            words = [*command, str(peer.repeats)]
            run_child(words, timeout_s=peer.limit_s, folder=CHECKOUT, environment=cache)
        except ChildError as error:
            made.append(Contender(peer.name, None, (), None, str(error)))
            continue
        trades, told = read_trades(out)
        name = f"{peer.name} {told['version']}"
        warm = tuple(told["warm_ms"])
        made.append(Contender(name, told["first_s"], warm, compare(ours, trades)))
    return made


def comparison_table(comparison: Comparison) -> str:
    """who | first run | warm | times Tercel | trades | equal"""
    base = comparison.contenders[0]
    unit = float(np.median(base.warm_ms))
    rows = []
    for contender in comparison.contenders:
        warm = float(np.median(contender.warm_ms)) if contender.warm_ms else None
        first, agreement = contender.first_s, contender.agreement
        rows.append(
            (
                contender.name,
                "-" if first is None else f"{figure(first)} s",
                "-" if warm is None else f"{figure(warm)} ms",
                str(len(contender.warm_ms) or "-"),
                "-" if warm is None else f"{figure(warm / unit)}x",
                "-" if not first or not base.first_s else f"{figure(first / base.first_s)}x",
                "-" if agreement is None else f"{agreement.trades:,}",
                "-" if agreement is None else f"{agreement.equal:,}",
            )
        )
    head = (
        "system", "first run", "warm run", "warm runs", "warm, times Tercel", "first, times Tercel",
        "trades", "equal to Tercel's",
    )  # fmt: skip
    return table(head, rows)


def differences(comparison: Comparison) -> list[str]:
    """One sentence for each contender that failed or traded otherwise."""
    told = []
    for contender in comparison.contenders:
        agreement = contender.agreement
        if contender.problem:
            told.append(f"{contender.name} gave no figure: {contender.problem}")
        elif agreement and (agreement.equal != agreement.trades or agreement.unpaired):
            told.append(
                f"{contender.name}: {agreement.unpaired} trades without a partner, "
                f"{agreement.bars_differ} left on another bar, {agreement.prices_differ} at "
                f"another price, {agreement.profits_differ} with another profit; "
                f"{agreement.example}"
            )
    return told
