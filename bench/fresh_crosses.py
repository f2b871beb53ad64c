"""The comparison's first run in a fresh process, timed as the peers' scripts time theirs.

`python -m bench.fresh_crosses BARS.npy MARKET.npz OUT.json`: the clock starts with numpy
imported and the bars in memory, before anything of Tercel is imported.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Import, prepare, run once; write `first_s`."""
    plain = np.load(sys.argv[1])
    with np.load(sys.argv[2]) as stored:
        entries, exits = stored["entries"], stored["exits"]
    started = time.perf_counter()
    from bench.market import Crosses
    from bench.sma_cross import GivenCrosses
    from tercel.core.records import BAR

    trades, _ = GivenCrosses(plain.view(BAR), Crosses(entries, exits)).run()
    first_s = time.perf_counter() - started
    told = {"first_s": first_s, "trades": len(trades)}
    Path(sys.argv[3]).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main()
