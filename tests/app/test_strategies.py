"""Loading strategies, and what their authors are told when one cannot be compiled or run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.desk import JIT, stream
from tests.market_data import invented_bars

import tercel.entry.cli
from tercel.app import strategies
from tercel.app.backtest import AccountSpec, StreamSpec, simulate
from tercel.app.strategies import Strategy, built_in_names, load_strategy, sources_beside
from tercel.app.strategy_errors import compile_cause, compile_place
from tercel.core import jit
from tercel.core.jit import new
from tercel.core.records import LIMITS
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.errors import StrategyError, UserError
from tercel.domain.results import BacktestResult, StreamLabel

TEMPLATE = Path(tercel.entry.cli.__file__).with_name("strategy_template.py.txt")
needs_jit = pytest.mark.skipif(not JIT, reason="the JIT is off: nothing is compiled")

SOURCE = '''\
"""A test of an idea."""

from tercel.strategy import Param, Side, TradePlan, enter, kernel, no_signal, parameters, rec

PARAMS = parameters(Param("every", 5, 1, 100, "bars", "bars between entries"))
REASONS = ("waiting", "now")
PLAN = TradePlan()


def state_dtype(params):
    return rec(("bars", "i8"), ("last", "f8"))


@kernel
def step(state, bar, context, params, signal):
    state.bars += 1
    no_signal(signal, 0)
    if state.bars % params.every == 0:
        enter(signal, Side.LONG, 0.001 * bar.close, 1)
    # HERE


@kernel
def signals(state, bars, contexts, params, out):
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
'''
LINE = SOURCE.splitlines().index("    # HERE") + 1


@pytest.fixture(autouse=True)
def own_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Kernels of files that are gone after the test stay out of the developer's cache."""
    monkeypatch.setenv("TERCEL_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("tercel_user_"):
            del sys.modules[name]


def written(folder: Path, here: str = "pass", source: str = SOURCE) -> Path:
    """The strategy with a statement of its own at the end of its step."""
    path = folder / "idea.py"
    path.write_text(source.replace("# HERE", here), encoding="utf-8")
    return path


def backtest(
    strategy: Strategy, bars: int = 200, chunk_bars: int = 64, **values: object
) -> BacktestResult:
    """The strategy on invented bars."""
    series = BarSeries(SeriesKey("synthetic", "BTCUSDT"), invented_bars(bars), (), "")
    label = StreamLabel(0, strategy.name, "synthetic", "BTCUSDT", "1m")
    spec = StreamSpec(
        label, strategy, strategy.values(values, 60_000), series, stream(strategy.plan)
    )
    return simulate((spec,), AccountSpec(10_000.0, new(LIMITS)), chunk_bars=chunk_bars)


def told(path: Path, bars: int = 200, chunk_bars: int = 64) -> str:
    """What the author is told."""
    with pytest.raises(StrategyError) as error:
        backtest(load_strategy(str(path)), bars, chunk_bars)
    assert error.value.exit_code == 2
    return str(error.value)


def test_built_in_strategies_by_name() -> None:
    assert built_in_names() == [
        "funding", "liquidation", "momentum", "order_flow", "swing", "three_r", "trend_reversion",
        "vwap_rsi",
    ]  # fmt: skip
    made = load_strategy("three_r")
    assert made.name == "three_r"
    assert made.title.startswith("1-minute 3R scalper")
    assert made.plan.trail_fraction == 0.25
    assert made.path.name == "three_r.py"
    assert len(made.code_hash) == 64


def test_an_unknown_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no strategy 'threer'; did you mean three_r\?"):
        load_strategy("threer")
    with pytest.raises(UserError, match=r"no strategy 'zzz'; .* swing, three_r, .*, or the"):
        load_strategy("zzz")
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(UserError, match=r"for your own file write \./mine\.py"):
        load_strategy("mine")
    with pytest.raises(UserError, match=r"no strategy file .*absent\.py; `tercel new absent`"):
        load_strategy("./absent.py")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="no strategy file folder/idea"):
        load_strategy("folder/idea")


def test_a_file_that_python_does_not_take_for_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("buy low")
    with pytest.raises(StrategyError, match="not a Python file"):
        load_strategy(str(tmp_path / "notes.txt"))


def test_parameters_that_do_not_fit() -> None:
    made = load_strategy("three_r")
    with pytest.raises(
        UserError, match=r"three_r: no parameter 'ema_length'; did you mean ema_len\?"
    ):
        made.values({"ema_length": 3}, 60_000)
    with pytest.raises(
        UserError, match=r"three_r: no parameter 'zzz'; .* ema_len, percentile_thr, "
    ):
        made.values({"zzz": 3}, 60_000)
    for value in (1, float("inf"), "many"):
        with pytest.raises(UserError, match="three_r: parameter ema_len: expected 2 to 500 bars"):
            made.values({"ema_len": value}, 60_000)


def test_a_users_own_file_runs(tmp_path: Path) -> None:
    made = load_strategy(str(written(tmp_path)))
    result = backtest(made, every=50)
    assert (made.name, made.title) == ("idea", "A test of an idea.")
    assert result.strategy_reasons == {"waiting": 196, "now": 4}
    assert result.signals == 4


@pytest.mark.slow
def test_the_template_of_tercel_new_runs(tmp_path: Path) -> None:
    path = tmp_path / "fresh.py"
    path.write_text(TEMPLATE.read_text(encoding="utf-8").replace("{name}", "fresh"))
    result = backtest(load_strategy(str(path)), bars=1_000)
    assert result.signals > 5
    assert set(result.strategy_reasons) == {"warming_up", "no_cross", "cross_up", "cross_down"}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("PARAMS = ", "OTHER = ", "needs PARAMS (the strategy's parameters"),
        ("REASONS = ", "OTHER = ", "needs REASONS (a tuple of names"),
        ("def step(", "def stride(", "needs step (the compiled step("),
        (
            'parameters(Param("every", 5, 1, 100, "bars", "bars between entries"))',
            "{}",
            "PARAMS must",
        ),
        ("PLAN = TradePlan()", "PLAN = {}", "PLAN must be a TradePlan"),
        (
            "PLAN = TradePlan()",
            "PLAN = TradePlan(legs=((1.0, 0.5),))",
            "PLAN: legs and trail_fraction: fractions must sum to 1, got 0.5",
        ),
    ],
)
def test_what_a_file_lacks(tmp_path: Path, before: str, after: str, message: str) -> None:
    source = SOURCE.replace(before, after)
    with pytest.raises(StrategyError) as error:
        load_strategy(str(written(tmp_path, source=source)))
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "idea.py"))


def test_a_step_that_is_no_function(tmp_path: Path) -> None:
    path = written(tmp_path, source=SOURCE + "\n\nstep = 3\n")
    with pytest.raises(StrategyError, match="step must be a function under @kernel"):
        load_strategy(str(path))


def test_a_syntax_error_has_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, here="if state.bars\n")
    with pytest.raises(StrategyError) as error:
        load_strategy(str(path))
    assert str(error.value) == f"{path}:{LINE}: expected ':'"


def test_an_exception_at_import_has_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, source="\n\nimport nowhere_to_be_found\n" + SOURCE)
    with pytest.raises(StrategyError) as error:
        load_strategy(str(path))
    message = "ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert str(error.value) == f"{path}:3: {message}"


def test_an_exception_in_a_neighbour_names_the_line_that_led_there(tmp_path: Path) -> None:
    (tmp_path / "broken_neighbour.py").write_text("x = 1\ny = x / 0\n")
    path = written(tmp_path, source="import broken_neighbour\n" + SOURCE)
    with pytest.raises(StrategyError, match=r"idea\.py:1: ZeroDivisionError: division by zero"):
        load_strategy(str(path))
    sys.modules.pop("broken_neighbour", None)


@needs_jit
@pytest.mark.slow
@pytest.mark.parametrize(
    ("here", "cause"),
    [
        ('state.last = "up"', ""),
        ("state.lats = bar.close", "lats"),
        ("state.last = bar.clsoe", "clsoe"),
        ("state.last = nothing_of_the_kind", "nothing_of_the_kind"),
        ("state.last = Side.LONG * 1.5", ""),
        ("state.last = params.evry", "evry"),
        ("state.last = bar.close + 'a'", "add"),
        ("state.last = bar.close.foo", "foo"),
    ],
)
def test_what_cannot_be_compiled_has_its_line(tmp_path: Path, here: str, cause: str) -> None:
    message = told(written(tmp_path, here))
    assert message.startswith(f"{tmp_path / 'idea.py'}:{LINE}: cannot be compiled: ")
    assert message.endswith(f"  ->  {here}")
    assert cause in message.partition("->")[0]
    assert len(message.splitlines()) == 1


@needs_jit
@pytest.mark.slow
def test_a_name_that_does_not_exist_in_the_loop_itself(tmp_path: Path) -> None:
    source = SOURCE.replace("range(len(bars))", "range(len(bras))")
    message = told(written(tmp_path, source=source))
    assert message.startswith(f"{tmp_path / 'idea.py'}:{LINE + 6}: cannot be compiled: NameError")
    assert message.endswith("  ->  for i in range(len(bras)):")


@pytest.mark.parametrize(
    ("here", "error"),
    [
        pytest.param(
            "state.last = bar.close / (state.bars // 3 - 30)",
            "ZeroDivisionError: division by zero",
            marks=needs_jit,  # plain Python gives infinity: its numbers are numpy's
        ),
        pytest.param(
            "state.last = (bar.close - bar.close) / (state.bars // 3 - 30.0)",
            "ZeroDivisionError: division by zero",
            marks=needs_jit,
        ),
        ("assert state.bars < 90", "AssertionError: "),
        ('if state.bars == 90: raise RuntimeError("enough")', "RuntimeError: enough"),
    ],
)
@pytest.mark.slow
def test_what_goes_wrong_in_a_step_has_its_line_and_its_bar(
    tmp_path: Path, here: str, error: str
) -> None:
    """The 90th bar, the 26th of its chunk, is the one that opens at 01:29."""
    message = told(written(tmp_path, here))
    assert message.startswith(f"{tmp_path / 'idea.py'}:{LINE}: {error}")
    assert "at the bar of 2023-07-01 01:29" in message
    assert message.endswith(f"  ->  {here}")


@pytest.mark.slow
def test_a_late_bar_of_a_long_chunk_has_its_line_too(tmp_path: Path) -> None:
    """Bar 2,790 of 3,000 in one chunk: 46.5 hours after midnight of the 1st."""
    here = "assert state.bars < 2_790"
    message = told(written(tmp_path, here), bars=3_000, chunk_bars=32_768)
    assert message.startswith(f"{tmp_path / 'idea.py'}:{LINE}: AssertionError")
    assert "at the bar of 2023-07-02 22:29" in message


@pytest.mark.parametrize(
    ("here", "wrong"),
    [
        ("signal.side = 7 if state.bars == 70 else 0", "side 7 and reason"),
        ("signal.reason = 2 if state.bars == 70 else 0", "reason 2:"),
        ("signal.reason = -1 if state.bars == 70 else 0", "reason -1:"),
    ],
)
@pytest.mark.slow
def test_an_impossible_signal_is_refused(tmp_path: Path, here: str, wrong: str) -> None:
    message = told(written(tmp_path, here))
    assert message.startswith(f"{tmp_path / 'idea.py'}: the signal at 2023-07-01 01:09")
    assert wrong in message
    assert "reason indexes the 2 names of REASONS" in message


NEIGHBOUR = """\
from tercel.strategy import kernel


@kernel
def distance(close):
    return 0.001 * close
"""


BESIDE = SOURCE.replace('"""A test of an idea."""', "from beside_it import distance").replace(
    "0.001 * bar.close", "distance(bar.close)"
)


@needs_jit
@pytest.mark.slow
def test_an_edited_neighbour_is_noticed(tmp_path: Path) -> None:
    """The user's file is the same; the module beside it, and with it the code's hash, is not."""
    path = written(tmp_path, source=BESIDE)
    (tmp_path / "beside_it.py").write_text(NEIGHBOUR)
    folders, hashes = [], set()

    def risked() -> float:
        made = load_strategy(str(path))
        folders.append(made.signals._cache.cache_path)  # type: ignore[attr-defined]
        hashes.add(made.code_hash)
        return float(np.median(backtest(made).trades["stop_distance"]))

    before = risked()
    (tmp_path / "beside_it.py").write_text(NEIGHBOUR.replace("0.001", "0.003"))
    assert risked() == pytest.approx(3 * before, rel=0.05)
    assert folders[0] != folders[1]
    assert len(hashes) == 2


@pytest.mark.slow
def test_neighbours_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    """Both are loaded before either runs: nothing is compiled until then."""
    loaded = []
    for name, factor in (("one", "0.001"), ("two", "0.003")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "beside_it.py").write_text(NEIGHBOUR.replace("0.001", factor))
        loaded.append(load_strategy(str(written(folder, source=BESIDE))))
    assert "beside_it" not in sys.modules
    one, two = (float(np.median(backtest(made).trades["stop_distance"])) for made in loaded)
    assert two == pytest.approx(3 * one, rel=0.05)


RUN_IT = """
import sys
from tests.app.test_strategies import backtest, load_strategy
made = load_strategy(sys.argv[1])
print(len(backtest(made).trades), sum(made.signals.stats.cache_hits.values()))
"""


@needs_jit
@pytest.mark.slow
def test_a_neighbours_kernels_come_out_of_the_cache(tmp_path: Path) -> None:
    """In a second process, where numba looks for the modules of what it loads by name."""
    path = written(tmp_path, source=BESIDE)
    (tmp_path / "beside_it.py").write_text(NEIGHBOUR)
    said = [
        subprocess.run(
            [sys.executable, "-c", RUN_IT, str(path)], check=True, capture_output=True, text=True
        ).stdout.split()
        for _ in range(2)
    ]
    assert [hits for _, hits in said] == ["0", "1"]
    assert said[0][0] == said[1][0] != "0"


def test_the_code_hash_covers_the_files_below_the_folder(tmp_path: Path) -> None:
    path = written(tmp_path)

    def code_hash() -> str:
        return load_strategy(str(path)).code_hash

    before = code_hash()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "exits.py").write_text("x = 1\n")
    below = code_hash()
    assert len({before, below}) == 2
    for elsewhere in (".hidden", "env"):
        (tmp_path / elsewhere).mkdir()
        (tmp_path / elsewhere / "other.py").write_text("x = 1\n")
        (tmp_path / elsewhere / "pyvenv.cfg").write_text("")
    assert code_hash() == below, "hidden folders and environments hold no code of the strategy"


def test_a_huge_folder_counts_without_what_is_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "exits.py").write_text("x = 1\n")
    assert sources_beside(path) == [path, tmp_path / "rules" / "exits.py"]
    monkeypatch.setattr(strategies, "SOURCES_MAX", 1)
    assert sources_beside(path) == [path]


def test_the_cache_of_the_core_is_back_after_a_load(tmp_path: Path) -> None:
    before = jit.settings.CACHE_DIR
    load_strategy(str(written(tmp_path)))
    assert before == jit.settings.CACHE_DIR
    assert str(tmp_path) not in sys.path


def test_a_chunk_that_fails_is_told_though_no_line_is_found(tmp_path: Path) -> None:
    """A batch loop of one's own, wrong where the step is not."""
    source = SOURCE.replace(
        "    for i in range(len(bars)):\n",
        "    for i in range(len(bars)):\n        if bars[i].open_time > 0 and len(bars) < 9:\n"
        '            raise ValueError("too few")\n',
    )
    message = told(written(tmp_path, source=source), bars=68)
    assert message == (
        f"{tmp_path / 'idea.py'}: ValueError: too few, "
        "somewhere in the bars from 2023-07-01 01:04 to 2023-07-01 01:07"
    )


RECORD = (
    "Record([('bars', {'type': int64, 'offset': 0, 'alignment': None, 'title': None, }), "
    "('last', {'type': float64, 'offset': 8, 'alignment': None, 'title': None, })], 16, False)"
)


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        (
            "Failed in nopython mode pipeline (step: native lowering)\n"
            "Cannot cast Literal[str](up) to float64: i8* null\n"
            'During: lowering "(state).last = $const178" at /home/me/my ideas/idea.py (25)\n'
            'File "idea.py", line 32:\n',
            25,
            "Cannot cast Literal[str](up) to float64: i8* null",
        ),
        (
            "Failed in nopython mode pipeline (step: nopython frontend)\n"
            "No implementation of function Function(<built-in function add>) found for signature:\n"
            " \n >>> add(float64, Literal[str](a))\n"
            'File "other.py", line 3:\nFile "../idea.py", line 7:\n',
            7,
            "No implementation of function Function(<built-in function add>) found for signature: "
            "add(float64, Literal[str](a))",
        ),
        (
            f"Unknown attribute 'foo' of type {RECORD}\n",
            None,
            "Unknown attribute 'foo' of type record with bars, last",
        ),
        ("There are 3 candidates", None, "There are 3 candidates"),
    ],
)
def test_numbas_page_of_text_in_one_line(text: str, line: int | None, cause: str) -> None:
    assert compile_place(Path("/home/me/my ideas/idea.py"), text) == line
    assert compile_cause(text) == cause
