"""`python -m bench`: measure everything, write bench/RESULTS.md and bench/out/results.json.

In order: Tercel's own bars (`bars.py`), then the comparison with peers (`comparison.py`). With
`--only` the figures are printed and kept in bench/out, and RESULTS.md stays as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.market import NoDataError, data_root

FOLDER = Path(__file__).resolve().parent
OUT = FOLDER / "out"
PEERS_SUITE = "peers"


def parse(words: Sequence[str], suites: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=suites, help="one suite; repeatable")
    parser.add_argument("--skip-peers", action="store_true", help="do not run other systems")
    parser.add_argument("--repeats", type=int, default=25, help="runs of warm work (default 25)")
    chosen = parser.parse_args(words)
    if chosen.repeats < 1:
        parser.error("--repeats: at least 1")
    return chosen


def main(words: Sequence[str]) -> int:
    """Measure; 0, 1 where trades differ that must be equal, 2 without the real data."""
    try:
        root = data_root()
    except NoDataError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    from bench import comparison, machine, results
    from bench.bars import SUITES, open_desk
    from bench.market import find_crosses, load_bars

    chosen = parse(words, [*SUITES, PEERS_SUITE])
    wanted = chosen.only or [*SUITES, PEERS_SUITE]
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"bench {time.perf_counter() - began:5.0f} s  {text}", flush=True)

    about = machine.describe()
    bars = load_bars(root)
    measured = []
    compared = None
    with tempfile.TemporaryDirectory(prefix="tercel-bench-") as folder:
        scratch = Path(folder)
        say("a lake with the market")
        desk = open_desk(bars, scratch, chosen.repeats)
        for name in wanted:
            if name != PEERS_SUITE:
                say(name)
                measured += SUITES[name](desk)
                continue
            peers = () if chosen.skip_peers else comparison.PEERS
            crosses = find_crosses(bars["close"])
            compared = comparison.compare_all(bars, crosses, scratch, peers, say, chosen.repeats)
            measured += compared.measurements
    say("done")
    text = results.document(about, measured, compared)
    OUT.mkdir(exist_ok=True)
    told = {
        "machine": about,
        "measurements": [asdict(each) for each in measured],
        "comparison": asdict(compared) if compared else None,
    }
    (OUT / "results.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    whole = not chosen.only and not chosen.skip_peers
    place = FOLDER / "RESULTS.md" if whole else OUT / "partial.md"
    place.write_text(text, encoding="utf-8")
    print(text)
    say(f"written to {place.relative_to(FOLDER.parent)}")
    for failure in (failures := compared.failures if compared else []):
        print(f"bench: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
