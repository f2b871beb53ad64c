"""Grids: what a text means, in which order it is counted, and what is refused."""

from __future__ import annotations

import pytest

from tercel.adapters.config import packaged_config_dir
from tercel.app.grid import GridLimits, combinations, read_grid, refuse_fixed
from tercel.app.strategies import load_strategy
from tercel.bootstrap import load_settings
from tercel.domain.errors import UserError

LIMITS = GridLimits(60_000, 1_000)
THREE_R = load_strategy("three_r")
SWING = load_strategy("swing")
GRIDS = load_settings().grids


def test_the_grid_of_the_source_has_243_combinations() -> None:
    grid = read_grid("source1", THREE_R, GRIDS)
    assert {axis.name: axis.values for axis in grid.axes} == {
        "ema_len": (15, 20, 25),
        "percentile_thr": (55, 60, 65),
        "bid_ask_ratio": (1.6, 1.8, 2.0),
        "range_pct": (0.25, 0.30, 0.35),
        "volume_mult": (1.1, 1.2, 1.3),
    }
    every = combinations(grid, THREE_R, {}, LIMITS)
    assert len(every) == grid.size == 243
    assert len({tuple(values.items()) for values in every}) == 243
    assert every[0]["vol_window"] == 240, "what does not vary keeps its default"


SHIPPED = [(name, strategy) for name, by in GRIDS.items() for strategy in by]


@pytest.mark.parametrize(("name", "strategy"), SHIPPED)
def test_every_grid_that_ships_can_be_tried_and_is_documented(name: str, strategy: str) -> None:
    loaded = load_strategy(strategy)
    grid = read_grid(name, loaded, GRIDS)
    assert len(combinations(grid, loaded, {}, LIMITS)) == grid.size
    sizes = " x ".join(f"{axis.name} {len(axis.values)}" for axis in grid.axes)
    text = (packaged_config_dir().parent / "docs" / "configuration.md").read_text()
    assert f"| `{name}` | `{strategy}` | {sizes} = {grid.size} |" in text


def test_the_last_parameter_changes_fastest() -> None:
    grid = read_grid("ema_len=20,10; volume_mult=1.0,2.0", THREE_R, {})
    assert grid.choices() == (
        {"ema_len": 20, "volume_mult": 1.0},
        {"ema_len": 20, "volume_mult": 2.0},
        {"ema_len": 10, "volume_mult": 1.0},
        {"ema_len": 10, "volume_mult": 2.0},
    )


def test_a_range_has_both_ends_and_no_rounding() -> None:
    grid = read_grid("range_pct=0.25:0.35:0.05; ema_len=10:30:10 ;", THREE_R, {})
    assert grid.axes[0].values == (0.25, 0.30, 0.35)
    assert grid.axes[1].values == (10, 20, 30)
    assert read_grid("ema_len=10:19:5", THREE_R, {}).axes[0].values == (10, 15)


def test_choices_are_words() -> None:
    grid = read_grid("pressure=taker,bar", THREE_R, {})
    every = combinations(grid, THREE_R, {"ema_len": 9}, LIMITS)
    assert [values["pressure"] for values in every] == ["taker", "bar"]
    assert {values["ema_len"] for values in every} == {9}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ema_ln=1,2", "did you mean ema_len"),
        ("ema_len=30:10:5", "is empty: it ends before it begins"),
        ("ema_len=10:30:0", "must be a number above zero"),
        ("ema_len=10:30:-5", "must be a number above zero"),
        ("ema_len=10:nan:5", "must be a number above zero"),
        ("ema_len=10:30", "cannot read '10:30' as from:to:step"),
        ("ema_len=a:b:c", "cannot read 'a:b:c' as from:to:step"),
        ("ema_len=1,20", "expected 2 to 500 bars, got 1"),
        ("ema_len=15.5", "it must be a whole number"),
        ("ema_len=long", "expected 2 to 500 bars, got 'long'"),
        ("ema_len=15,,20", "a value is missing"),
        ("ema_len=15,15", "a value is there twice"),
        ("ema_len=15; ema_len=20", "ema_len is there twice"),
        ("ema_len=", "cannot read 'ema_len='"),
        ("=1; ema_len", "cannot read '=1'"),
        ("; =", "cannot read '='"),
        ("pressure=wind", "auto | book | taker | bar"),
        ("sourc1", "did you mean source1"),
        ("", "no grid ''"),
    ],
)
def test_mistakes_are_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        read_grid(text, THREE_R, GRIDS)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_grid_without_this_strategy_names_those_that_have_it() -> None:
    with pytest.raises(UserError, match=r"source1 has nothing for swing; .* main, small"):
        read_grid("source1", SWING, GRIDS)
    with pytest.raises(UserError, match="write one out with --grid"):
        read_grid("source1", SWING, {"source1": GRIDS["source1"]})


def test_what_the_strategy_itself_refuses_is_named() -> None:
    grid = read_grid("fast_len=5,6; decide_minutes=10,7", SWING, {})
    with pytest.raises(UserError, match=r"fast_len=5, decide_minutes=7 is refused: swing: "):
        combinations(grid, SWING, {}, GridLimits(300_000, 1_000))


def test_too_many_are_refused_before_they_are_made() -> None:
    grid = read_grid("ema_len=2:500:1; vol_len=2:200:1; volume_len=3:1000:1", THREE_R, {})
    with pytest.raises(UserError, match=r"at most 1,000 are accepted"):
        combinations(grid, THREE_R, {}, LIMITS)


def test_what_varies_cannot_be_set() -> None:
    grid = read_grid("ema_len=15,20", THREE_R, {})
    refuse_fixed(grid, {"vol_len": 5})
    with pytest.raises(UserError, match="ema_len is in the grid and in --set"):
        refuse_fixed(grid, {"ema_len": 5})
