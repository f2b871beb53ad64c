"""What the pages show works: commands parse, settings are valid, strategies run."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.docs.commands import command_of, options_of, parse
from tests.docs.pages import Page, page, pages
from tests.market_data import JIT, real_files

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.strategies import load_strategy
from tercel.core.jit import new
from tercel.entry.cli.main import main

README_LINES_MAX = 20
REAL_MONTHS = [f"2023-{month:02d}" for month in range(7, 13)]
REAL_MONTHS += [f"2024-{month:02d}" for month in range(1, 7)]


def shown_commands() -> list[tuple[str, str]]:
    """(page, line) of everything a reader is shown to type that begins with `tercel`."""
    return [
        (one.name, line)
        for one in pages()
        for line in one.commands()
        if "tercel" in shlex.split(line, comments=True)[:1]
    ]


@pytest.mark.parametrize(("name", "line"), shown_commands())
def test_every_shown_command_parses(name: str, line: str) -> None:
    parse(line)


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_every_command_within_a_sentence_exists(one: Page) -> None:
    for span in one.spans():
        words = span.split()
        if words[:1] != ["tercel"] or len(words) < 2 or not words[1].islower():
            continue
        command, rest = command_of([w for w in words[1:] if w.strip(".")])
        known = {option for names in options_of(command) for option in names} | {"--help"}
        used = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert used <= known, span


def test_readme_shows_the_two_test_commands() -> None:
    assert [line for line in page("README.md").commands() if "make" in line] == [
        "make demo",
        "make test",
        "make check",
    ]


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_run_files_are_valid(one: Page, tmp_path: Path) -> None:
    for number, block in enumerate(one.blocks("yaml")):
        if block.startswith("# run.yaml"):
            file = tmp_path / f"run{number}.yaml"
            file.write_text(block, encoding="utf-8")
            read_settings([packaged_config_dir()], file, {}, ())


def test_settings_of_a_strategy_are_valid(tmp_path: Path) -> None:
    (block,) = page("docs/strategies.md").blocks("yaml")
    file = tmp_path / "strategies" / "my_idea.yaml"
    file.parent.mkdir()
    file.write_text(block, encoding="utf-8")
    settings = read_settings([packaged_config_dir(), tmp_path], None, {}, ()).settings
    assert settings.sizing_of("my_idea").risk_fraction == 0.005


@pytest.mark.parametrize("one", pages(), ids=lambda one: one.name)
def test_python_is_python(one: Page) -> None:
    for block in one.blocks("python"):
        ast.parse(block)


def readme_strategy(folder: Path) -> Path:
    """The strategy of the README as a file."""
    (block,) = page("README.md").blocks("python")
    assert len(block.strip().splitlines()) <= README_LINES_MAX
    path = folder / "breakout.py"
    path.write_text(block, encoding="utf-8")
    return path


def run(*arguments: str) -> int:
    """The exit code of `tercel ...`."""
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return int(left.value.code or 0)


def test_the_strategy_of_the_readme_trades(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    readme_strategy(tmp_path)
    assert run("data", "synth", "BTCUSDT", "--days", "2") == 0
    shown = [line for line in page("README.md").commands() if "./breakout.py" in line]
    backtest, lookahead = (shlex.split(line)[1:] for line in shown)
    capsys.readouterr()
    assert run(*backtest, "--no-report") == 0
    assert re.search(r"\d+ trades lost|\d+ trades made", capsys.readouterr().out)
    assert run(*lookahead, "--bars", "150" if JIT else "60") == 0


def test_the_indicator_of_the_docs_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [
        text for text in page("docs/indicators.md").blocks("python") if "def warmup" in text
    ]
    strategy = readme_strategy(tmp_path)
    (tmp_path / "roc.py").write_text(block, encoding="utf-8")
    text = strategy.read_text(encoding="utf-8")
    strategy.write_text(f"{text}\nfrom roc import roc_dtype, roc_step, warmup\n", encoding="utf-8")
    loaded = load_strategy(str(strategy))
    made = vars(sys.modules[loaded.step.__module__])
    state = new(made["roc_dtype"](8))
    values = [made["roc_step"](state, float(x), 3) for x in (100, 101, 102, 110, 111)]
    assert np.isnan(values[: made["warmup"](3)]).all()
    assert values[3:] == pytest.approx([0.10, 111 / 101 - 1])


def plain(text: str) -> str:
    """Words with single spaces: however wide the terminal was."""
    return " ".join(re.sub("[─]+", " ", text).split())


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.skipif(not JIT, reason="half a million bars in plain Python: the compiled run tells")
def test_the_readme_quotes_a_real_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = real_files("klines/binance-spot/BTCUSDT/1m", [f"{m}.parquet" for m in REAL_MONTHS])
    monkeypatch.chdir(tmp_path)
    assert run("data", "import", *map(str, files)) == 0
    (line,) = [line for line in page("README.md").commands() if "--to 2024-06-25" in line]
    capsys.readouterr()
    assert run(*shlex.split(line)[1:], "--no-report") == 0
    printed = plain(capsys.readouterr().out)
    (quoted,) = page("README.md").blocks("text")
    verdict, _, table = quoted.partition("\n\n")
    assert plain(verdict) in printed
    for row in table.splitlines()[2:]:
        assert plain(row) in printed
