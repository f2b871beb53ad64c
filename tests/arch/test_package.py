"""What a wheel must hold beside the modules: types, settings, and the template of a strategy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ("src", "config", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.mark.slow
def test_a_wheel_holds_all_that_is_not_python(tmp_path: Path) -> None:
    """Built from a copy, by the build backend itself: no network, no build environment."""
    copy = tmp_path / "project"
    copy.mkdir()
    for name in PROJECT:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy / name)
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)],
        cwd=copy,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    with zipfile.ZipFile(tmp_path / built.stdout.split()[-1]) as wheel:
        held = set(wheel.namelist())
    settings = {f"tercel/_config/{f.relative_to(ROOT / 'config')}" for f in yaml_files()}
    assert {"tercel/_config/costs.yaml", "tercel/_config/strategies/three_r.yaml"} <= settings
    wanted = {"tercel/py.typed", "tercel/entry/cli/strategy_template.py.txt", *settings}
    assert wanted <= held
    modules = {f"tercel/{f.relative_to(ROOT / 'src/tercel')}" for f in (ROOT / "src").rglob("*.py")}
    assert modules <= held


def yaml_files() -> list[Path]:
    """Every file of settings."""
    return sorted((ROOT / "config").rglob("*.yaml"))
