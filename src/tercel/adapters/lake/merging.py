"""Merging bars into stored bars: idempotent, and nothing known is overwritten in silence.

Of each offered bar, exactly one of these is true:

- added: there was no bar of that time;
- unchanged: nothing known differs and nothing new is known. Also a running bar offered where its
  final one is stored;
- filled: nothing known differs, and unknown columns become known;
- replaced: the stored bar was still running when it was written, and the offered one is its final
  form;
- conflict: known values differ. The stored bar stays, and the first such value is reported in
  words.

A bar counts as running when no bar follows it directly (only the newest bar of a download can be)
and the other one continues it: same open, no narrower range, more volume.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tercel.app.ports import MergeReport
from tercel.core.records import Records
from tercel.domain.bars import BAR_COLUMNS
from tercel.domain.times import format_time

EQUAL_TOLERANCE = 1e-10
"""Values this close (as a fraction) are the same number, summed in another order."""

_CUMULATIVE = ("quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume")
_VALUES = BAR_COLUMNS[1:]

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def run_ends(times: npt.NDArray[np.int64], bar_ms: int, next_time: int | None = None) -> Mask:
    """True where no bar follows directly; `next_time` is when the bar after the last opens."""
    ends = np.ones(len(times), np.bool_)
    if len(times):
        ends[:-1] = np.diff(times) != bar_ms
        ends[-1] = next_time is None or next_time - int(times[-1]) != bar_ms
    return ends


def merge_bars(
    stored: Records, offered: Records, *, stored_ends: Mask, offered_ends: Mask
) -> tuple[Records, MergeReport]:
    """`stored` with `offered` merged in, both in order; `stored` itself when nothing changes.

    `*_ends` mark the bars that may have been running, see `run_ends`.
    """
    if not len(offered):
        return stored, MergeReport()
    if not len(stored):
        return offered, MergeReport(added=len(offered))
    if len(stored) == len(offered) and stored.tobytes() == offered.tobytes():
        return stored, MergeReport(unchanged=len(stored))
    place = np.searchsorted(stored["open_time"], offered["open_time"])
    meets = place < len(stored)
    meets[meets] = stored["open_time"][place[meets]] == offered["open_time"][meets]
    place = place[meets]
    changed, rows, report = _merge_pairs(
        stored[place], offered[meets], stored_ends[place], offered_ends[meets]
    )
    added = offered[~meets]
    report += MergeReport(added=len(added))
    if not (report.added or report.filled or report.replaced):
        return stored, report
    merged = stored.copy()
    merged[place[rows]] = changed
    if len(added):
        merged = np.concatenate((merged, added))
        merged = merged[np.argsort(merged["open_time"], kind="stable")]
    return merged, report


def _merge_pairs(
    old: Records, new: Records, old_ends: Mask, new_ends: Mask
) -> tuple[Records, npt.NDArray[np.intp], MergeReport]:
    """Bars that change, their rows among the pairs, and the report over all pairs."""
    differs = np.zeros(len(old), np.bool_)
    fills = np.zeros(len(old), np.bool_)
    for name in _VALUES:
        differs |= _differ(old[name], new[name])
        fills |= np.isnan(old[name]) & ~np.isnan(new[name])
    replaced = differs & old_ends & _continues(old, new)
    snapshot = differs & ~replaced & new_ends & _continues(new, old)
    conflicts = differs & ~replaced & ~snapshot
    fills &= ~differs
    rows = np.flatnonzero(replaced | fills)
    changed = old[rows].copy()
    for name in _VALUES:
        take = replaced[rows] | np.isnan(changed[name])
        changed[name][take] = new[name][rows][take]
    report = MergeReport(
        filled=int(fills.sum()),
        unchanged=int((~differs & ~fills).sum() + snapshot.sum()),
        replaced=int(replaced.sum()),
        conflicts=int(conflicts.sum()),
        first_conflict=_describe(old, new, conflicts),
    )
    return changed, rows, report


def _differ(one: Floats, other: Floats) -> Mask:
    """Both known and not the same number. (A comparison with NaN is false.)"""
    apart: Mask = np.abs(one - other) > EQUAL_TOLERANCE * np.maximum(np.abs(one), np.abs(other))
    return apart


def _continues(early: Records, late: Records) -> Mask:
    """True where `late` can be `early` some trades later."""
    grown: Mask = (
        ~_differ(early["open"], late["open"])
        & (late["high"] >= early["high"])
        & (late["low"] <= early["low"])
        & (late["volume"] > early["volume"])
    )
    for name in _CUMULATIVE:
        grown &= ~(late[name] < early[name])
    return grown


def _describe(old: Records, new: Records, conflicts: Mask) -> str:
    if not conflicts.any():
        return ""
    row = int(conflicts.argmax())
    name = next(name for name in _VALUES if _differ(old[name], new[name])[row])
    return (
        f"{format_time(int(old['open_time'][row]))} {name}: "
        f"stored {old[name][row]:.12g}, offered {new[name][row]:.12g}"
    )
