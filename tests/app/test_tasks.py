"""Ending tasks, also those that do not hear it the first time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tercel.app import tasks
from tercel.app.tasks import end_tasks


async def test_tasks_are_ended_however_they_end() -> None:
    async def fails() -> None:
        raise ValueError("no")

    never = asyncio.get_running_loop().create_future()
    waits, failed = asyncio.ensure_future(never), asyncio.create_task(fails())
    waiting = asyncio.create_task(_until(never))
    await asyncio.wait({failed})
    await end_tasks((waiting, failed, None))
    assert waiting.cancelled()
    assert failed.done()
    assert waits.cancelled()


async def _until(future: asyncio.Future[None]) -> None:
    await future


async def test_one_that_loses_its_cancellation_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `asyncio.wait_for` of Python 3.11 does where its work is done at the same moment."""
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.001)
    lost = 0

    async def goes_on() -> None:
        nonlocal lost
        while lost < 3:
            with suppress(asyncio.CancelledError):
                await asyncio.get_running_loop().create_future()
            lost += 1
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(goes_on())
    waiting = asyncio.create_task(_started(task))
    await waiting
    await end_tasks([task])
    assert (task.cancelled(), lost) == (True, 3)


async def _started(task: asyncio.Task[None]) -> None:
    assert not task.done()
