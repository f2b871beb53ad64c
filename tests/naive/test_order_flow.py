"""order_flow's score against a slow twin that computes every part from slices of whole arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.desk import JIT
from tests.market_data import Bars
from tests.naive.strategy_twin import Said, compare, rough_days
from tests.naive.test_three_r import wilder_atr
from tests.parity.plain_python import known_contexts

from tercel.core.records import Records

Floats = npt.NDArray[np.float64]


def touch_changes(bars: Bars) -> Floats:
    """What the bid gained and the ask lost at each close; the first has none."""
    close, bid, ask = bars["close"], bars["bid_size"], bars["ask_size"]
    new_bid = np.where(close[1:] >= close[:-1], bid[1:], 0.0)
    old_bid = np.where(close[1:] <= close[:-1], bid[:-1], 0.0)
    new_ask = np.where(close[1:] <= close[:-1], ask[1:], 0.0)
    old_ask = np.where(close[1:] >= close[:-1], ask[:-1], 0.0)
    unknown = np.isnan(np.where(close[1:] >= close[:-1], bid[1:] + ask[:-1], 0.0))
    unknown |= np.isnan(np.where(close[1:] <= close[:-1], ask[1:] + bid[:-1], 0.0))
    change = new_bid - old_bid - new_ask + old_ask
    return np.concatenate([[np.nan], np.where(unknown, np.nan, change)])


def large(bars: Bars, p: dict[str, Any]) -> Floats:
    """Size of the trades against that of the bars with trades before, signed."""
    out = np.full(len(bars), np.nan)
    traded = [i for i in range(len(bars)) if bars["volume"][i] > 0 and bars["count"][i] > 0]
    sizes = bars["volume"][traded] / bars["count"][traded]
    for at, i in enumerate(traded):
        delta = 2 * bars["taker_buy_volume"][i] - bars["volume"][i]
        if at + 1 >= p["large_len"] and not np.isnan(delta):
            usual = np.mean(sizes[at + 1 - p["large_len"] : at + 1])
            extra = (sizes[at] / usual - 1) / (p["large_mult"] - 1)
            out[i] = np.sign(delta) * min(max(extra, 0.0), 1.0)
    return out


def parts_at(i: int, bars: Bars, p: dict[str, Any], change: Floats, atr: Floats) -> list[float]:
    """Book, touch, delta and absorption of bar `i`."""
    book = touch = delta = absorbed = math.nan
    both = bars["bid_size"][i] + bars["ask_size"][i]
    if both > 0:
        book = (bars["bid_size"][i] - bars["ask_size"][i]) / both
    if i + 1 >= p["touch_len"]:
        recent = change[i + 1 - p["touch_len"] : i + 1]
        moved = np.sum(np.abs(recent))
        touch = math.nan if np.isnan(moved) else (np.sum(recent) / moved if moved > 0 else 0.0)
    length = p["delta_len"]
    if i + 1 >= length:
        volume = bars["volume"][i + 1 - length : i + 1]
        bought = bars["taker_buy_volume"][i + 1 - length : i + 1]
        if np.sum(volume) > 0:
            delta = (np.sum(bought) - np.sum(volume - bought)) / np.sum(volume)
            delta = min(max(delta, -1.0), 1.0)  # some takers here bought more than was traded
    if i >= length and atr[i] > 0 and not math.isnan(delta):
        way = (bars["close"][i] - bars["close"][i - length]) / atr[i] * np.sign(delta)
        short_of = min(max(1 - way / p["absorption_atr"], 0.0), 1.0)
        absorbed = -delta * short_of if abs(delta) >= p["absorption_delta_min"] else 0.0
    return [book, touch, delta, absorbed]


def twin(bars: Bars, contexts: Records, p: dict[str, Any], bar_minutes: int) -> list[Said]:
    """What is said at every bar."""
    change, atr, trades = touch_changes(bars), wilder_atr(bars, p["atr_len"]), large(bars, p)
    names = ("book", "touch", "delta", "absorption", "large")
    said = []
    for i in range(len(bars)):
        parts = [*parts_at(i, bars, p, change, atr), trades[i]]
        known = [
            (part, p[f"weight_{name}"], name)
            for part, name in zip(parts, names, strict=True)
            if not math.isnan(part) and p[f"weight_{name}"] > 0
        ]
        book = any(name in names[:2] for _, _, name in known)
        flow = any(name in names[2:] for _, _, name in known)
        reason = {(1, 1): "book_and_flow", (1, 0): "book_only", (0, 1): "flow_only"}.get(
            (book, flow), "missing"
        )
        score = math.nan
        if known:
            score = sum(part * weight for part, weight, _ in known)
            score /= sum(weight for _, weight, _ in known)
        said.append(Said(reason, score=score))
    return said


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"touch_len": 1, "delta_len": 1, "large_len": 2, "absorption_delta_min": 0.0},
        {"weight_book": 0.0, "weight_touch": 0.0, "weight_large": 5.0, "absorption_atr": 3.0},
        {"weight_delta": 0.0, "weight_absorption": 0.0, "weight_large": 0.0, "touch_len": 40},
    ],
    ids=["defaults", "one bar", "trades only", "book only"],
)
def test_scores_equal_the_twins(changed: dict[str, object]) -> None:
    bars = rough_days(seed=21)
    rng = np.random.default_rng(22)
    quiet = rng.uniform(size=len(bars)) < 0.02
    for name in ("volume", "taker_buy_volume", "count"):
        bars[name][quiet] = 0.0
    bars["count"][len(bars) // 4 : len(bars) // 4 + 70] = np.nan
    bars["bid_size"][len(bars) // 3 : len(bars) // 3 + 60] = np.nan
    for name in ("bid_size", "ask_size"):
        bars[name][rng.uniform(size=len(bars)) < 0.01] = 0.0
    bars["close"][1::3] = bars["close"][::3][: len(bars["close"][1::3])]  # closes that stay
    bars["high"], bars["low"] = (
        np.maximum(bars["high"], bars["close"]), np.minimum(bars["low"], bars["close"]),
    )  # fmt: skip
    whole = known_contexts(bars)
    counts = compare("order_flow", bars, whole, changed, twin)
    used = [name for name in ("book_and_flow", "book_only", "flow_only") if counts[name]]
    assert used
    assert len(used) == 3 or changed or not JIT
