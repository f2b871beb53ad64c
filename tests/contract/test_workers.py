"""What every kind of workers keeps: order, one opening each, errors, and equal bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.app.test_sweep import job_on
from tests.market_data import JIT, invented_bars
from tests.walks import FOLLOWER

from tercel.adapters.ray import ClusterError, RayWorkers
from tercel.adapters.ray.parcel import name_of, named, writable
from tercel.adapters.ray.workers import import_ray
from tercel.adapters.workers import ThreadWorkers
from tercel.app.strategies import load_strategy
from tercel.app.sweep import open_sweep
from tercel.domain.errors import StrategyError, UserError

ray_installed = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
not_ours = pytest.mark.filterwarnings("ignore")
"""Ray warns of its own deprecations and sockets."""


def open_adder(shared: int) -> Callable[[int], int]:
    return lambda item: shared + item


def open_refuser(shared: int) -> Callable[[int], int]:
    def work(item: int) -> int:
        if item == shared:
            raise UserError(f"{item} is refused")
        return item

    return work


def open_deserter(shared: str) -> Callable[[int], int]:
    """Dies at item 2 the first time, or every time when `shared` names no file."""

    def work(item: int) -> int:
        import os

        mark = Path(shared)
        if item == 2 and not mark.exists():
            if mark.parent.is_dir():
                mark.touch()
            os._exit(1)
        return item

    return work


def test_results_come_in_the_order_of_items() -> None:
    for count in (1, 3):
        assert list(ThreadWorkers(count).map(open_adder, 10, range(50))) == list(range(10, 60))
    assert list(ThreadWorkers(2).map(open_adder, 10, [])) == []


def test_work_is_opened_once_in_each_thread() -> None:
    opened: list[int] = []

    def open_noted(shared: int) -> Callable[[int], int]:
        opened.append(threading.get_ident())
        return lambda item: shared

    list(ThreadWorkers(3).map(open_noted, 0, range(40)))
    assert 1 <= len(opened) == len(set(opened)) <= 3


def test_the_first_error_is_raised_and_nothing_goes_on() -> None:
    before = threading.active_count()
    results = ThreadWorkers(2).map(open_refuser, 5, range(1_000))
    with pytest.raises(UserError, match="5 is refused"):
        list(results)
    assert threading.active_count() == before


def test_what_is_not_asked_for_is_not_computed() -> None:
    """Bounded: results do not pile up ahead of the one that is waited for."""
    done: list[int] = []

    def open_counted(shared: int) -> Callable[[int], int]:
        def work(item: int) -> int:
            done.append(item)
            return item

        return work

    results: Iterator[int] = ThreadWorkers(2).map(open_counted, 0, range(1_000))
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert len(done) <= 2 * 2 * 4 + 2


def test_a_strategy_travels_by_its_name(tmp_path: Path) -> None:
    assert name_of(load_strategy("swing"))[0] == "swing"
    file = tmp_path / "follower.py"
    file.write_text(FOLLOWER)
    mine = load_strategy(str(file))
    assert named(name_of(mine)).code_hash == mine.code_hash
    with pytest.raises(StrategyError, match="has other code"):
        named((str(file), "0" * 64))


def test_shared_arrays_become_writable() -> None:
    job = job_on(invented_bars(50))
    job.spec.series.bars.flags.writeable = False
    copied = writable(job)
    assert copied.spec.series.bars.flags.writeable
    assert copied.spec.series.bars.tobytes() == job.spec.series.bars.tobytes()
    assert copied.spec.strategy is job.spec.strategy
    assert copied.combinations == job.combinations
    assert copied.windows is not None


def test_an_address_that_is_none() -> None:
    with pytest.raises(UserError, match="expected auto or HOST:PORT"):
        list(RayWorkers("somewhere").map(open_adder, 1, [1]))


def test_nothing_listens_there(unused_tcp_port: int) -> None:
    workers = RayWorkers(f"127.0.0.1:{unused_tcp_port}", wait_seconds=5.0)
    with pytest.raises(ClusterError, match=r"no Ray cluster answers at 127\.0\.0\.1:"):
        list(workers.map(open_adder, 1, [1]))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tercel.adapters.ray.workers.find_spec", lambda name: None)
    with pytest.raises(UserError, match="--ray needs Ray"):
        RayWorkers()


@pytest.mark.slow
@pytest.mark.skipif(not JIT, reason="workers compile kernels")
@ray_installed
@not_ours
def test_ray_gives_the_same_bytes_as_threads(tmp_path: Path) -> None:
    """On a Ray of its own: a sweep, an error of the work, a worker that is lost once, and twice."""
    workers = RayWorkers(count=2)
    ray = import_ray()
    workers._connect(ray)
    try:
        check_ray(workers, tmp_path)
    finally:
        ray.shutdown()


def check_ray(workers: RayWorkers, tmp_path: Path) -> None:
    job = job_on(invented_bars(600), "fast_len=2,3,4; adx_min=0,20")
    numbers = range(6)
    ours = list(ThreadWorkers(2).map(open_sweep, job, numbers))
    assert list(workers.map(open_sweep, job, numbers)) == ours
    with pytest.raises(UserError, match="3 is refused"):
        list(workers.map(open_refuser, 3, range(6)))
    mark = str(tmp_path / "died")
    assert list(workers.map(open_deserter, mark, range(6))) == list(range(6))
    with pytest.raises(ClusterError, match="2 workers were lost over item 3 of 6"):
        list(workers.map(open_deserter, str(tmp_path / "nowhere" / "died"), range(6)))
