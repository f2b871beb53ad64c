"""`tercel data fetch` alone, as a program: folders and addresses come from the environment.

Tests run it in a process of its own, to kill it or to interrupt it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import typer

import tercel
from tercel.adapters.archive import MARKETS, ArchiveBarSource
from tercel.adapters.ccxt import CcxtBarSource
from tercel.adapters.clock import SystemClock
from tercel.adapters.config import read_settings
from tercel.adapters.lake import LakeBarStore
from tercel.app.fetch_data import BarSources
from tercel.app.ports import Clock
from tercel.domain.errors import TercelError
from tercel.domain.fetch_policy import FetchPolicy, SourceChoice
from tercel.domain.settings import Settings
from tercel.entry.cli.fetch import fetch


@dataclass(frozen=True)
class Composition:
    """Stands where tercel.bootstrap stands: the real adapters, over folders of the test."""

    folder: Path
    policy: FetchPolicy

    def load_settings(self) -> Settings:
        return read_settings(environ={}).settings.with_lake(self.folder / "lake")

    def open_lake(self, settings: Settings) -> LakeBarStore:
        return LakeBarStore(settings.data.lake)

    def system_clock(self) -> Clock:
        return SystemClock()

    def bar_sources(
        self, settings: Settings, venue: str, clock: Clock, choice: SourceChoice
    ) -> BarSources:
        policy = self.policy.chosen(choice)
        archive = choice.use_archive and venue in MARKETS
        return BarSources(
            ArchiveBarSource(policy, clock, self.folder / "cache") if archive else None,
            CcxtBarSource(venue, policy, clock) if choice.use_rest else None,
        )

    def module(self) -> ModuleType:
        """This composition as the module `tercel.bootstrap`."""
        made = ModuleType("tercel.bootstrap")
        for name in ("load_settings", "open_lake", "system_clock", "bar_sources"):
            setattr(made, name, getattr(self, name))
        setattr(made, "start_logs", lambda _: None)  # noqa: B010 (a module made at run time)
        return made


def program() -> typer.Typer:
    """A program with the one command."""
    app = typer.Typer()
    app.command()(fetch)
    return app


def main() -> None:
    """Run, and print an error of ours as one line."""
    policy = FetchPolicy(
        retries=1,
        backoff_seconds_first=0.01,
        requests_per_second=1000,
        archive_url=os.environ["ARCHIVE_URL"],
        rest_url=os.environ["REST_URL"],
    )
    root = Composition(Path(os.environ["FOLDER"]), policy).module()
    sys.modules["tercel.bootstrap"] = root
    tercel.bootstrap = root
    try:
        program()()
    except TercelError as error:
        print(error, file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
