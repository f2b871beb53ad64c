"""What an archive is known not to hold, remembered between runs, so that it is not asked in vain.

Two things are remembered for each series: minutes missing inside a file whose checksum was right
(the venue was down), and whole files that were not there long after they would have been published
(before the listing). It is a cache: deleting it costs requests, never bars.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from tercel.domain.bars import Gap, SeriesKey
from tercel.domain.periods import join, span


class AbsentSpans:
    """Spans without bars, one small JSON file a series under `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, key: SeriesKey) -> tuple[Gap, ...]:
        """Known spans of `key` in time order; a damaged file counts as none."""
        try:
            stored = json.loads(self._path(key).read_text(encoding="utf-8"))
            pairs = [(int(start), int(end)) for start, end in stored["absent"]]
        except (OSError, ValueError, TypeError, KeyError):
            return ()
        return join((span(start, end, key.bar_ms) for start, end in pairs), key.bar_ms)

    def add(self, key: SeriesKey, spans: Iterable[Gap]) -> None:
        """Remember `spans` of `key` too. A folder that cannot be written is no reason to stop."""
        new = tuple(spans)
        if not new:
            return
        joined = join((*self.of(key), *new), key.bar_ms)
        path = self._path(key)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"absent": [[one.start, one.end] for one in joined]})
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError:
            return

    def _path(self, key: SeriesKey) -> Path:
        return self._folder / key.venue / f"{key.symbol}-{key.timeframe}.json"
