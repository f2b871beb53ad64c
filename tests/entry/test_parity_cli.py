"""`tercel parity`: a session that was replayed, proved."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.app.live.journals import Played, played
from tests.desk import JIT
from tests.entry.conftest import Run
from tests.market_data import invented_bars
from tests.parity.busy_streams import RISKED, account_spec, busy
from tests.parity.plain_python import quick_values

from tercel import bootstrap
from tercel.app.live.trade_parity import TradeDifference, TradeParity
from tercel.app.strategies import load_strategy
from tercel.domain.journal import EquityRow
from tercel.entry.cli.parity import _show_outcome, _show_trades

REPLAY = "run --replay --strategy three_r --symbols BTCUSDT --venue synthetic --to " + (
    "2024-01-01T12:00" if JIT else "2024-01-01T01:00"
)


@pytest.fixture(scope="module")
def session() -> Played:
    """A short session of a built-in strategy."""
    made = busy(0, "three_r", invented_bars(120, seed=3), **RISKED)
    strategy = load_strategy("vwap_rsi")
    label = replace(made.label, strategy=strategy.name)
    values = quick_values(strategy)
    return played([replace(made, strategy=strategy, values=values, label=label)], account_spec())


def journaled(folder: Path, session: Played, *, code: str = "", cash_quote: float = 0.0) -> None:
    """Its journal in the session folder below `folder`, with something changed."""
    first = session.first
    if code:
        told = json.loads(first.configuration)
        told["streams"][0]["code_hash"] = code
        first = replace(first, configuration=json.dumps(told))
    rows = [
        replace(row, cash_quote=row.cash_quote + cash_quote) if isinstance(row, EquityRow) else row
        for row in session.kept.rows
    ]

    async def write() -> None:
        journal = bootstrap.open_journal("", folder / "session")
        await journal.write([first, *rows])
        await journal.close()

    asyncio.run(write())


def test_a_replayed_session_is_proved(run: Run) -> None:
    assert run(REPLAY)[0] == 0
    code, out, err = run("parity last")
    assert (code, err) == (0, "")
    assert "decisions: all the same (" in out
    assert "made by one alone (0.0%, 10.0% tolerated)" in out
    code, out, err = run("parity last --json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["decisions"]["is_equal"] is True
    assert told["decisions"]["compared"]["evaluation"] >= 60
    assert told["trades"]["is_within"] is True
    assert told["changes"] == []
    assert run(f"parity {told['session']}")[0] == 0


def test_a_session_that_differs_fails(run: Run, tmp_path: Path, session: Played) -> None:
    journaled(tmp_path, session, cash_quote=1.0)
    code, out, err = run("parity s1")
    assert (code, err) == (1, "")
    assert "decisions: not the same. input 2 (MinuteEnded), equity: journaled cash_quote" in out
    code, out, _ = run("parity s1 --json")
    assert code == 1
    assert json.loads(out)["decisions"]["difference"]["table"] == "equity"


def test_changed_code_must_be_forced(run: Run, tmp_path: Path, session: Played) -> None:
    journaled(tmp_path, session, code="of another day")
    code, out, err = run("parity last")
    assert (code, out) == (2, "")
    assert err.startswith("error: session s1: the code of vwap_rsi has changed since the session: ")
    assert err.count("\n") == 1
    code, out, err = run("parity last --force")
    assert code == 0
    assert err.startswith("note: the code of vwap_rsi has changed since the session: ")
    assert "decisions: all the same" in out


def test_no_such_session(run: Run, tmp_path: Path, session: Played) -> None:
    code, out, err = run("parity last")
    assert (code, out) == (2, "")
    assert err.startswith("error: session/journal.sqlite: there is no journal yet; ")
    journaled(tmp_path, session)
    code, out, err = run("parity nobody")
    assert (code, out) == (2, "")
    assert err == "error: no session 'nobody' in the journal; the latest: s1\n"


def test_the_tolerance_is_a_setting_and_an_option(run: Run) -> None:
    code, out, err = run("parity last --tolerance-r 0")
    assert (code, out) == (2, "")
    assert "parity.tolerance_r" in err
    code, out, _ = run("parity --help")
    assert code == 0
    assert "Exit code 0" in out


def test_trades_that_differ_are_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    names = (0, "three_r", "BTCUSDT", 1, 1_704_067_200_000)
    pairs = (
        TradeDifference(*names, 10.0, 12.0, 20.0, {"price": -1.5, "fee": -0.5}),
        TradeDifference(*names, None, -8.0, 16.0, {"missed": 8.0}, "stale_data"),
        TradeDifference(*names, 5.0, 5.0, 10.0, {}),
    )
    traded = TradeParity(pairs, carried=1, left_open=2, tolerance_r=0.05, missed_fraction_max=0.1)
    _show_trades(traded)
    _show_outcome(traded)
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split() for line in lines]
    first = ["2024-01-01", "00:00", "BTCUSDT", "three_r", "long"]
    assert [*first, "+10.00", "+12.00", "-1.50", "-0.50", "-0.100"] in cells
    assert [*first, "-", "-8.00", "+8.00", "+0.500", "stale_data"] in cells
    assert ["total", "2", "trades", "-1.50", "-0.50", "+8.00", "+0.400"] in cells
    text = " ".join(" ".join(lines).split())
    assert "3, 1 of them equal, 1 different, 1 made by one alone (33.3%, 10.0% tolerated)" in text
    assert "; 1 were open when the session began; 2 are still open" in text
    assert "1 differ by more than 0.05 R" in text


def test_what_was_carried_over_is_counted_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    names = (0, "three_r", "BTCUSDT", 1, 1_704_067_200_000)
    pairs = (
        TradeDifference(*names, 5.0, 5.0, 10.0, {}),
        TradeDifference(
            *names, None, -8.0, 16.0, {"carried": 8.0}, "position_open", is_kept_out=True
        ),
    )
    traded = TradeParity(pairs, carried=1, left_open=0, tolerance_r=0.05, missed_fraction_max=0.1)
    assert traded.is_within
    _show_trades(traded)
    _show_outcome(traded)
    text = " ".join(capsys.readouterr().out.split())
    assert "Carried" in text
    assert "- -8.00 +8.00 +0.500 position_open" in text
    assert "0 made by one alone (0.0%, 10.0% tolerated); 1 kept out by what was carried" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 160])
def test_amounts_are_never_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """Texts fold, or each trade is a list: every amount is there as it is."""
    monkeypatch.setenv("COLUMNS", str(width))
    names = (0, "momentum", "BTCUSDT", -1, 1_704_067_200_000)
    quote = {"price": -1_234.56, "queue": 9.87, "size": 22.22, "fee": -0.51, "funding": 0.11}
    pairs = (
        TradeDifference(*names, 10_123.45, 12_345.67, 200.0, quote),
        TradeDifference(*names, None, -8.25, 16.0, {"missed": 8.25}, "stale_data"),
    )
    _show_trades(TradeParity(pairs, 0, 0, tolerance_r=0.05, missed_fraction_max=0.1))
    out = capsys.readouterr().out
    assert "\N{HORIZONTAL ELLIPSIS}" not in out
    for amount in ("+10,123.45", "+12,345.67", "-1,234.56", "+9.87", "+22.22", "-8.25", "+0.516"):
        assert amount in out
    assert "stale_data" in out
    assert all(len(line) <= width for line in out.splitlines())
