"""`tercel venue`: what it refuses, what it prints, how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tercel.entry.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and what was printed of `tercel venue ...`."""
    with pytest.raises(SystemExit) as left:
        main(["venue", *arguments])
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out + printed.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--protocol", "bybit"), "bybit is not built yet"),
        (("--protocol", "bitget"), "bitget is not built yet"),
        (("--protocol", "kraken"), "not one of binance"),
        (("--data", "cloud"), "not one of lake, synthetic"),
        (("--dates", "then"), "not one of now, data"),
        (("--speed", "0"), "more than 0"),
        (("--symbols", " , "), "name at least one"),
        (("--host", "0.0.0.0"), "--allow-remote"),  # noqa: S104
        (("--dates", "data", "--from", "yesterday"), "--from"),
        (("--from", "1999-01-01"), "add --dates data, or play bars that you have with --data lake"),
        (("--data", "lake", "--venue", "moon"), "not one of binance-usdm"),
        (("--faults", "none.yaml"), "none.yaml"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = run(capsys, *arguments)
    assert code == 2
    assert told in printed
    assert len(printed.splitlines()) == 1


def test_the_help_says_whose_time_a_plan_is_in(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = run(capsys, "--help")
    words = [word for word in printed.split() if word != "│"]
    assert (code, "venue's time: with --speed 30" in " ".join(words)) == (0, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a plan without faults; they are a list, such as `faults: [{what: O1"),
        ("seed: 7\nfaults: []", "a plan without faults"),
        ("faults: [{what: P1, when: {nth: 1}}]", "fault 1: P1 (the client is killed) is not"),
        (
            "faults: [{what: O1, when: {nth: 1}, where: {endpoint: POST /fapi/v1/orderx}}]",
            "fault 1: where: this venue has no endpoint 'POST /fapi/v1/orderx'; did you mean POST",
        ),
        (
            "faults: [{what: O1, when: {nth: 1}, where: {symbol: BTCUSD}}]",
            "fault 1: where: this venue has no symbol 'BTCUSD'; did you mean BTCUSDT?",
        ),
    ],
)
def test_a_plan_that_cannot_be_played_is_one_line_with_its_place(
    text: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(text, encoding="utf-8")
    code, printed = run(capsys, "--faults", str(plan))
    assert (code, len(printed.splitlines())) == (2, 1)
    assert printed.startswith(f"error: {plan}: {told}")


def test_it_plays_bars_to_their_end_and_says_what_became_of_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the lake, with a symbol whose rules are read off its bars; the last minutes alone."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["data", "synth", "ODDUSDT", "--days", "2", "--start", "2024-01-01"])
    plan = tmp_path / "plan.yaml"
    faults = "faults: [{what: C7, when: {nth: 1}}, {what: O1, when: {nth: 9}}]"
    plan.write_text(faults, encoding="utf-8")
    capsys.readouterr()
    code, printed = run(
        capsys, "--data", "lake", "--venue", "synthetic", "--symbols", "oddusdt", "--port", "0",
        "--from", "2024-01-02T23:50", "--speed", "10000", "--faults", str(plan), "--dates", "data",
    )  # fmt: skip
    assert code == 0
    for part in (
        *("ODDUSDT", "API key", "TERCEL_BINANCE_API_SECRET", "127.0.0.1"),
        *("the bars have run out; wallet 10100.00", "faults that struck: C7 1", "never: O1"),
    ):
        assert part in printed
    [struck] = [line for line in printed.splitlines() if " fault C7 " in line]
    assert re.fullmatch(r"23:5\d:\d\d fault C7 a deposit, withdrawal or transfer", struck.rstrip())


def test_bars_that_the_lake_does_not_have_are_met_with_those_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["data", "synth", "BTCUSDT", "--days", "2", "--start", "2024-01-01"])
    capsys.readouterr()
    for venue, symbol, told in (
        ("binance-usdm", "BTCUSDT", "of BTCUSDT it has synthetic"),
        ("synthetic", "BTCUSTD", "did you mean BTCUSDT?"),
    ):
        code, printed = run(capsys, "--data", "lake", "--venue", venue, "--symbols", symbol)
        assert (code, told in printed) == (2, True), printed


@pytest.mark.slow
def test_a_signal_ends_it_cleanly(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from tercel.entry.cli.main import main; main()", "venue",
               "--port", "0"]  # fmt: skip
    with subprocess.Popen(
        program, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            said += line
        address = re.search(r"http://(127\.0\.0\.1:\d+)/", said)
        assert address
        with urllib.request.urlopen(f"http://{address[1]}/fapi/v1/ping") as reply:
            assert reply.read() == b"{}"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert "stopped; wallet 10000.00 USDT" in rest
