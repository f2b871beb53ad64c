"""Settings from files, the environment and options: layers, origins, and errors that help."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tercel
from tercel.adapters.config import (
    LoadedSettings,
    config_dirs,
    packaged_config_dir,
    read_settings,
)
from tercel.adapters.config.layers import cover
from tercel.adapters.config.yaml_reader import NODES_MAX, Layer, parse_text
from tercel.core.strategies import three_r
from tercel.domain.errors import ConfigError

VALUES_MAX = 600
"""Values in the packaged tree: 36 ms to read."""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes a configuration folder below the working folder from `name=text` pairs."""
    monkeypatch.chdir(tmp_path)

    def make(folder: str = "own", **files: str) -> Path:
        for name, text in files.items():
            file = tmp_path / folder / f"{name.replace('__', '/')}.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path / folder

    return make


def read(
    *folders: Path,
    run_file: Path | None = None,
    environ: dict[str, str] | None = None,
    options: tuple[str, ...] = (),
) -> LoadedSettings:
    """The packaged defaults with more layers on top."""
    return read_settings([packaged_config_dir(), *folders], run_file, environ or {}, options)


def problems(*folders: Path, **layers: Any) -> list[str]:
    """The lines of the ConfigError that `read` raises."""
    with pytest.raises(ConfigError) as caught:
        read(*folders, **layers)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


# --- layers


def test_defaults_load() -> None:
    loaded = read()
    assert loaded.settings.runs.seed == 42
    assert loaded.strategy_overrides == {}
    packaged = packaged_config_dir()
    wanted = [*packaged.glob("*.yaml"), *packaged.glob("strategies/*.yaml")]
    assert len(loaded.files) == len(wanted)


def test_each_layer_covers_the_one_below(tree: Callable[..., Path]) -> None:
    own = tree(runs="runs: {seed: 1, chunk_bars: 128, start_quote: 5.0}\nlog: {level: error}\n")
    run_file = tree("elsewhere", run="runs: {seed: 2, chunk_bars: 256}\n") / "run.yaml"
    environ = {"TERCEL__RUNS__SEED": "3", "TERCEL__LOG__LEVEL": "debug"}
    loaded = read(own, run_file=run_file, environ=environ, options=("runs.seed=4",))
    runs = loaded.settings.runs
    assert (runs.seed, runs.chunk_bars, runs.start_quote) == (4, 256, 5.0)
    assert loaded.settings.log.level == "debug"
    assert runs.folder == Path("runs")
    sources = loaded.sources
    assert sources["runs.seed"] == "--set runs.seed=4"
    assert sources["runs.chunk_bars"] == "elsewhere/run.yaml:1"
    assert sources["runs.start_quote"] == "own/runs.yaml:1"
    assert sources["log.level"] == "TERCEL__LOG__LEVEL"
    assert sources["runs.folder"].endswith("config/runs.yaml:4")
    assert loaded.files[-2:] == ("own/runs.yaml", "elsewhere/run.yaml")


def test_a_strategy_file_is_the_strategy_of_its_name(tree: Callable[..., Path]) -> None:
    own = tree(strategies__my_idea="costs: free\nparams:\n  fast: 9\n  source: NO\n")
    loaded = read(own)
    mine = loaded.settings.strategy("my_idea")
    assert (mine.costs, mine.params) == ("free", {"fast": 9, "source": "NO"})
    assert loaded.sources["strategies.my_idea.params.fast"] == "own/strategies/my_idea.yaml:3"
    assert loaded.settings.strategy("three_r").costs == "source1"


def test_a_section_with_everything_commented_out_changes_nothing(
    tree: Callable[..., Path],
) -> None:
    own = tree(
        runs="runs:\n  # seed: 1\n",
        nothing="# only a comment\n",
        strategies__bare="# nothing yet\n",
        strategies__half="params:\n  # a: 1\nsizing:\n",
    )
    settings = read(own).settings
    assert settings.runs.seed == 42
    assert settings.strategy("bare").params == {}
    assert settings.strategy("half").sizing == {}


def test_folders_in_order(tree: Callable[..., Path], tmp_path: Path) -> None:
    local = tree("config", runs="runs: {seed: 5}\n")
    named = tree("named", runs="runs: {seed: 6}\n")
    environ = {"TERCEL_CONFIG_DIR": str(named)}
    assert config_dirs(environ) == [packaged_config_dir(), local, named]
    assert read_settings(environ=environ).settings.runs.seed == 6
    assert read_settings(environ={}).settings.runs.seed == 5


def test_a_checkout_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(packaged_config_dir().parent)
    assert config_dirs({}) == [packaged_config_dir()]


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERCEL__RUNS__SEED", "11")
    assert read_settings().settings.runs.seed == 11


def test_packaged_folder_of_a_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "lib" / "site" / "tercel"
    package.mkdir(parents=True)
    monkeypatch.setattr(tercel, "__file__", str(package / "__init__.py"))
    with pytest.raises(ConfigError, match="default settings are missing"):
        packaged_config_dir()
    (package / "_config").mkdir()
    assert packaged_config_dir() == package / "_config"


# --- environment and options


def test_environment_finds_names_that_a_variable_cannot_hold() -> None:
    environ = {
        "TERCEL__COSTS__PROFILE__BINANCE_USDM": "bybit",
        "TERCEL__INSTRUMENTS__BINANCE_USDM__BTCUSDT__TICK_SIZE": "0.5",
        "TERCEL__STRATEGIES__THREE_R__PARAMS__EMA_LEN": "25",
        "TERCEL__INSTRUMENTS__SYNTHETIC__NEWUSDT": (
            "{tick_size: 1, lot_size: 1, quantity_min: 0, notional_min_quote: 0}"
        ),
        "TERCEL_CACHE_DIR": "/not/a/setting",
        "PATH": "/bin",
    }
    settings = read(environ=environ).settings
    assert settings.costs.profile["binance-usdm"] == "bybit"
    usdm, synthetic = (
        settings.instrument("binance-usdm", "BTCUSDT"),
        settings.instrument("synthetic", "BTCUSDT"),
    )
    assert usdm is not None
    assert synthetic is not None
    assert (float(usdm.tick_size), float(synthetic.tick_size)) == (0.5, 0.1)
    assert settings.instrument("synthetic", "NEWUSDT") is not None
    assert settings.strategy("three_r").params == {"ema_len": 25}


def test_options_are_yaml() -> None:
    options = (
        "synthetic.symbols=[BTCUSDT, ETHUSDT]",
        "sizing.notional_max_quote=null",
        "sizing.risk_fraction=1e-4",
        "data.lake=/tmp/a=b",
        "strategies.three_r.plan={legs: [[2, 0.5], [3, 0.5]], trail_fraction: 0}",
    )
    settings = read(options=options).settings
    assert settings.synthetic.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.sizing.notional_max_quote is None
    assert settings.sizing.risk_fraction == 0.0001
    assert settings.data.lake == Path("/tmp/a=b")  # noqa: S108 (only a name)
    assert settings.strategy("three_r").plan["legs"] == ((2.0, 0.5), (3.0, 0.5))


def test_a_name_without_a_dot_is_a_strategy_parameter() -> None:
    loaded = read(options=("ema_len=25", "pressure=taker", "range_pct=0.25", "flag=true"))
    assert loaded.strategy_overrides == {
        "ema_len": 25,
        "pressure": "taker",
        "range_pct": 0.25,
        "flag": True,
    }
    assert "ema_len" not in loaded.sources


def test_later_options_win() -> None:
    assert read(options=("runs.seed=1", "runs.seed=2")).settings.runs.seed == 2


# --- errors


def test_an_error_names_file_line_path_expectation_and_value(tree: Callable[..., Path]) -> None:
    text = "costs:\n  profiles:\n    source1:\n      taker_fee_rate: cheap\n"
    assert problems(tree(costs=text)) == [
        "own/costs.yaml:4: costs.profiles.source1.taker_fee_rate: "
        'expected a number between 0 and 0.05, got "cheap"'
    ]


CASES = [
    ("runs.sed=1", "runs.sed: unknown name; did you mean seed?"),
    ("rnus.seed=1", "rnus: unknown name; did you mean runs?"),
    (
        "log.colour=1",
        "log.colour: unknown name; expected one of format, level",
    ),
    (
        "instruments.binance.BTCUSDT.tick_size=1",
        "instruments.binance: unknown name; did you mean binance-usdm?",
    ),
    (
        "instruments.synthetic.btc={tick_size: 1}",
        "instruments.synthetic.btc: unknown name; expected a symbol such as BTCUSDT",
    ),
    (
        "strategies.three_r.fills.intrbar=x",
        "strategies.three_r.fills.intrbar: unknown name; did you mean intrabar?",
    ),
    (
        "log.level=loud",
        'log.level: expected one of debug, info, warning, error, got "loud"',
    ),
    ("runs.seed=-1", "runs.seed: expected a whole number of at least 0 and below"),
    ("runs.seed=yes", 'got "yes"'),
    ("fills.limit_gap_at_open=yes", 'expected true or false, got "yes"'),
    ("sizing.risk_fraction=0", "expected a number above 0 and at most 1, got 0"),
    ("sizing.notional_max_quote=-1", "expected a number above 0 or null, got -1"),
    ("data.lake=7", "expected a path, got 7"),
    ("report.compare_with=x", 'expected a list, each a text, got "x"'),
    ("report.compare_with=[1]", "report.compare_with[0]: expected a text, got 1"),
    ("synthetic.symbols=[]", "synthetic.symbols: expected at least one name, got []"),
    ("synthetic.symbols=[btc]", 'expected a symbol such as BTCUSDT, got "btc"'),
    ("synthetic.start=12:30", 'expected a UTC date such as 2024-01-01, got "12:30"'),
    ("runs.start_quote=.inf", "expected a number above 0, got Infinity"),
    ("strategies.x.plan.legs=[2]", "strategies.x.plan.legs[0]: expected a list of 2 values"),
    ("strategies.x.plan.legs=[[2, x]]", "legs[0][1]: expected a number above 0 and at most 1"),
    ("strategies.x.params.a=[1]", "expected a number, a text, true or false, got [1]"),
    ("fetch.rest_urls.bybit-linear=x", "expected an address that begins with https://"),
    ("costs.profile.synthetic=x", "expected one of the cost profiles binance_usdm, bitget"),
    ("strategies.three_r.costs=x", "strategies.three_r.costs: expected one of the cost profiles"),
    (
        "strategies.three_r.sizing={mode: notional}",
        "strategies.three_r.sizing: expected notional_quote above 0 for mode notional",
    ),
    ("sizing.mode=quantity", "sizing: expected quantity above 0 for mode quantity"),
    (
        "costs.profiles.free.slippage.model=bps",
        "costs.profiles.free.slippage: expected bps above 0 for model bps",
    ),
    ("limits=3", "limits is a group of settings; expected limits.field=value"),
    ("runs.seed", "expected group.field=value or parameter=value"),
    ("runs..seed=1", "expected group.field=value or parameter=value"),
    ("runs.seed=[1", "not valid YAML"),
    ("ema_len=[1]", "expected a number, a text, true or false for a strategy's parameter"),
    ("fills=", "fills is a group of settings"),
    ("costs.profiles.source1=3", "expected a section of `name: value` lines, got 3"),
]


@pytest.mark.parametrize(("option", "said"), CASES, ids=[option for option, _ in CASES])
def test_what_an_error_says(option: str, said: str) -> None:
    [line] = problems(options=(option,))
    assert line.startswith(f"--set {option}: ")
    assert said in line


def test_an_incomplete_profile_lists_what_is_missing() -> None:
    lines = problems(options=("costs.profiles.mine={maker_fee_rate: 1e-4}",))
    assert [line.split(": ")[-2:] for line in lines[:1]] == [
        ["costs.profiles.mine.taker_fee_rate", "missing; expected a number between 0 and 0.05"]
    ]
    assert len(lines) == 4


def test_all_problems_are_listed_at_once(tree: Callable[..., Path]) -> None:
    own = tree(runs="runs: {seed: x}\nlog: {level: loud}\n")
    lines = problems(own, environ={"TERCEL__RUNS__CHUNK": "1"}, options=("fills=1", "ema_len"))
    assert lines[0] == "--set fills=1: fills is a group of settings; expected fills.field=value"
    assert any(line.startswith("own/runs.yaml:1: runs.seed: ") for line in lines)
    assert any(line.startswith("own/runs.yaml:2: log.level: ") for line in lines)
    assert any(line.startswith("TERCEL__RUNS__CHUNK: runs.chunk: unknown name") for line in lines)
    assert len(lines) == 5


def test_a_long_value_is_cut_and_a_secret_is_hidden() -> None:
    [line] = problems(options=(f"runs.seed={'x' * 300}",))
    assert line.endswith("...")
    from tercel.adapters.config.problems import shown_value

    assert shown_value("hunter2", "api_secret") == '"(hidden)"'


def test_environment_names_need_a_group_and_a_field() -> None:
    assert problems(environ={"TERCEL__RUNS____SEED": "1"}) == [
        "TERCEL__RUNS____SEED: expected a name such as TERCEL__RUNS__SEED"
    ]


def test_missing_everything_names_the_setting(tree: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings([tree(runs="runs: {seed: 1}")], None, {}, ())
    lines = str(caught.value).splitlines()
    assert "data: missing; expected a section of `name: value` lines" in lines


# --- files and YAML


def test_yaml_is_read_as_version_1_2() -> None:
    layer = Layer()
    text = "a: NO\nb: 12:30\nc: 1e-4\nd: 0o17\ne: ~\nf: 2024-01-02\ng: 010\nh: 1_0\ni: on\n"
    values = parse_text(text, "x", layer, at=(), lines=True)
    assert layer.problems == []
    assert values["a"] == "NO"
    assert values["b"] == "12:30"
    assert values["c"] == 0.0001
    assert values["d"] == 15
    assert values["e"] is None
    assert values["f"] == "2024-01-02"
    assert values["g"] == 10
    assert values["i"] == "on"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runs:\n  seed: 1\n  seed: 2\n", "own/a.yaml:3: runs.seed: set twice, here and in line 2"),
        ("runs: {seed: [}\n", "own/a.yaml:1: not valid YAML"),
        ("runs:\n\tseed: 1\n", "own/a.yaml:2: not valid YAML"),
        ("runs: 1\n---\nruns: 2\n", "own/a.yaml"),
        ("- runs\n", "own/a.yaml:1: expected settings as `name: value` lines"),
        ("runs: {seed: !!python/none 1}\n", "own/a.yaml:1: the tag"),
        ("runs: &a {seed: 1}\nlog: {<<: *a}\n", "own/a.yaml:2: expected a plain name as key"),
        ("runs: &a\n  b: *a\n", "own/a.yaml:1: more than"),
        ("runs: *nobody\n", "own/a.yaml:1: not valid YAML"),
        ("runs: {seed: !!int soon}\n", "own/a.yaml:1: cannot read 'soon' as a number"),
        ("runs: \x01\n", "own/a.yaml: not valid YAML"),
    ],
)
def test_damaged_files(tree: Callable[..., Path], text: str, said: str) -> None:
    assert problems(tree(a=text))[0].startswith(said)


def test_a_damaged_default_is_the_only_thing_said(
    tree: Callable[..., Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(packaged_config_dir(), copy)
    (copy / "costs.yaml").write_text("costs: [\n")
    with pytest.raises(ConfigError) as caught:
        read_settings([copy], None, {}, ())
    assert len(str(caught.value).splitlines()) == 1


def test_two_files_of_a_folder_may_not_set_the_same(tree: Callable[..., Path]) -> None:
    own = tree(a="runs:\n  seed: 1\n", b="log: {level: info}\nruns:\n  seed: 2\n")
    assert problems(own) == [
        "own/b.yaml:3: runs.seed: set twice, here and in own/a.yaml:2",
    ]


def test_files_that_cannot_be_read(tree: Callable[..., Path], tmp_path: Path) -> None:
    own = tree()
    assert problems(run_file=tmp_path / "no.yaml") == [
        "no.yaml: cannot be read: No such file or directory"
    ]
    own.mkdir()
    (own / "a.yaml").write_bytes(b"runs: \xff\n")
    assert problems(own) == ["own/a.yaml: not UTF-8 text (byte 6)"]
    assert problems(tmp_path / "nowhere") == [
        "nowhere: not a folder of settings; see TERCEL_CONFIG_DIR"
    ]


def test_a_folder_outside_is_named_in_full(
    tree: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tree(runs="runs: {seed: 8}\n")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert read(own).sources["runs.seed"] == f"{own / 'runs.yaml'}:1"


def test_an_alias_counts_against_the_bound() -> None:
    layer = Layer()
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    parse_text("\n".join(["a0: &a0 [1]", *rows]), "x", layer, at=(), lines=True)
    assert len(layer.problems) == 1
    assert str(NODES_MAX) in layer.problems[0]


def test_the_commented_parameters_of_three_r_are_its_own_defaults() -> None:
    text = (packaged_config_dir() / "strategies" / "three_r.yaml").read_text()
    parameters = text[text.index("params:") : text.index("# The plan")]
    layer = Layer()
    active = re.sub(r"^  # ", "  ", parameters, flags=re.MULTILINE)
    shown = parse_text(active, "x", layer, at=(), lines=True)["params"]
    assert shown == three_r.PARAMS.values()
    for parameter in three_r.PARAMS.items:
        [line] = [text for text in parameters.splitlines() if f" {parameter.name}:" in text]
        assert parameter.choices or parameter.span in line


def test_the_packaged_tree_stays_quick_to_read() -> None:
    """A value costs about 0.06 ms, and a backtest in a fresh process has 1.5 s for everything."""
    assert len(read().sources) <= VALUES_MAX


# --- merging

paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=3)
leaves = st.integers(0, 9) | st.just([1, 2])


def planted(rows: list[tuple[list[str], Any]]) -> dict[str, Any]:
    """A tree of `(path, value)` rows; a row that would go below a value is left out."""
    tree: dict[str, Any] = {}
    for path, value in rows:
        section: Any = tree
        for key in path[:-1]:
            section = section.setdefault(key, {}) if isinstance(section, dict) else None
        if isinstance(section, dict):
            section[path[-1]] = value
    return tree


trees = st.lists(st.tuples(paths, leaves), max_size=5).map(planted)


def plainly_merged(under: Any, over: Any) -> Any:
    """What covering means, in three lines."""
    if isinstance(under, dict) and isinstance(over, dict):
        keys = list(under) + [key for key in over if key not in under]
        return {
            key: plainly_merged(under[key], over[key])
            if key in under and key in over
            else over.get(key, under.get(key))
            for key in keys
        }
    return over


@given(st.lists(trees, min_size=1, max_size=4))
def test_layers_cover_each_other_in_order(layers: list[dict[str, Any]]) -> None:
    merged = Layer()
    expected: Any = {}
    for layer in layers:
        cover(merged, Layer(tree=layer))
        expected = plainly_merged(expected, layer)
    assert merged.tree == expected


@given(trees, trees)
def test_covering_leaves_the_upper_layer_alone(under: dict[str, Any], over: dict[str, Any]) -> None:
    before = repr(over)
    merged = Layer()
    for tree in (under, over, {"a": {"b": 1}}):
        cover(merged, Layer(tree=tree))
    assert repr(over) == before


def test_what_is_said_for_a_run_goes_before_the_file_of_a_strategy(tmp_path: Path) -> None:
    """three_r's own file risks 0.2 % and has no daily limit; a run may say otherwise."""
    packaged = [packaged_config_dir()]
    plain = read_settings(packaged, None, {}, ()).settings
    assert plain.sizing_of("three_r").risk_fraction == 0.002
    assert plain.pace_of("three_r").daily_trades_max == 0
    said = ("sizing.risk_fraction=0.01", "pace.daily_trades_max=3")
    asked = read_settings(packaged, None, {}, said).settings
    assert asked.sizing_of("three_r").risk_fraction == 0.01
    assert asked.pace_of("three_r").daily_trades_max == 3
    assert asked.sizing_of("three_r").includes_costs is False
    run = tmp_path / "run.yaml"
    run.write_text(
        "sizing: {risk_fraction: 0.03}\nstrategies: {three_r: {sizing: {risk_fraction: 0.04}}}"
    )
    filed = read_settings(packaged, run, {}, ()).settings
    assert filed.sizing_of("three_r").risk_fraction == 0.04
    assert filed.sizing_of("swing").risk_fraction == 0.03
    environ = {"TERCEL__SIZING__RISK_FRACTION": "0.05"}
    assert (
        read_settings(packaged, None, environ, ()).settings.sizing_of("three_r").risk_fraction
        == 0.05
    )


# --- variables of a short name


def test_state_and_journal_have_variables_of_a_short_name() -> None:
    environ = {"TERCEL_STATE_URL": "redis://h:1/0", "TERCEL_JOURNAL_URL": "null"}
    loaded = read(environ=environ)
    assert loaded.settings.state.url == "redis://h:1/0"
    assert loaded.settings.journal.url == "null"  # a text, not YAML
    assert loaded.sources["state.url"] == "TERCEL_STATE_URL"
    assert loaded.sources["journal.url"] == "TERCEL_JOURNAL_URL"
    assert read(environ={"TERCEL_STATE_URL": ""}).settings.state.url == ""
    over = read(environ=environ, options=("state.url=redis://h:2/0",))
    assert over.settings.state.url == "redis://h:2/0"


def test_two_variables_for_the_same_setting_are_a_mistake() -> None:
    environ = {"TERCEL_STATE_URL": "redis://h:1/0", "TERCEL__STATE__URL": "redis://h:2/0"}
    assert problems(environ=environ) == [
        "TERCEL__STATE__URL: TERCEL_STATE_URL sets the same; unset one of them"
    ]


def test_the_password_of_an_address_is_in_no_origin() -> None:
    loaded = read(options=("state.url=redis://:hunter2@h:1/0",))
    assert loaded.settings.state.url == "redis://:hunter2@h:1/0"
    assert loaded.sources["state.url"] == "--set state.url=redis://:(hidden)@h:1/0"
    [problem] = problems(options=("state.uri=redis://:hunter2@h:1/0",))
    assert "hunter2" not in problem
