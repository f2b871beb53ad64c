"""The cache of compiled kernels: an edit anywhere is noticed, and a home that is read-only is told.

Each test works on a copy of the package and a cache folder of its own, in processes of its own:
that is how a cache is read and written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.desk import JIT

import tercel
from tercel.core import jit

PACKAGE = Path(tercel.__file__).resolve().parent
needs_jit = pytest.mark.skipif(not JIT, reason="the JIT is off: nothing is compiled")

WHERE = "from tercel.core import jit; print(jit.CACHE_FOLDER)"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the core that may be edited; its cache lies beside it."""
    root = tmp_path / "site" / "tercel"
    shutil.copytree(PACKAGE / "core", root / "core", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "__init__.py").write_text('__version__ = "0"\n')
    return root


def run(root: Path, program: str, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`program` in a fresh process that imports the copy."""
    return subprocess.run(
        [sys.executable, "-B", "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": str(root.parent),
            "TERCEL_CACHE_DIR": str(cache or root.parent.parent / "cache"),
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )


def edit(file: Path, before: str, after: str) -> None:
    """Replace one piece of a source file."""
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


@needs_jit
@pytest.mark.slow
def test_an_edited_callee_is_noticed_and_an_undone_edit_is_warm(copied: Path) -> None:
    """The caller's own file never changes: numba alone would go on with the old callee."""
    callee, caller = copied / "core" / "fills.py", copied / "core" / "caller.py"
    caller.write_text(
        "from tercel.core.fills import floor_to_lot\n"
        "from tercel.core.jit import kernel\n\n\n"
        "@kernel\n"
        "def double(x):\n"
        "    return 2.0 * floor_to_lot(x, 1.0)\n"
    )
    program = (
        "from tercel.core import jit\nfrom tercel.core.caller import double\n"
        "print(double(3.7), sum(double.stats.cache_hits.values()), jit.CACHE_FOLDER.name)"
    )

    def ask() -> list[str]:
        return run(copied, program).stdout.split()

    first = ask()
    assert first[:2] == ["6.0", "0"]
    assert ask() == ["6.0", "1", first[2]]
    source = callee.read_text(encoding="utf-8")
    edit(
        callee,
        "return math.floor(quantity / lot_size",
        "return 10 * math.floor(quantity / lot_size",
    )
    edited = ask()
    assert edited[:2] == ["60.0", "0"]
    assert edited[2] != first[2]
    callee.write_text(source, encoding="utf-8")
    assert ask() == ["6.0", "1", first[2]]


@pytest.mark.slow
def test_the_cache_lies_where_the_user_wants_it(copied: Path, tmp_path: Path) -> None:
    folder = Path(run(copied, WHERE, tmp_path / "mine").stdout.strip())
    assert folder.parent == tmp_path / "mine" / "kernels"
    assert folder.is_dir()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_told_once(copied: Path, tmp_path: Path) -> None:
    """A file where the cache should be: as unwritable as a read-only disk, for root too."""
    (tmp_path / "file").write_text("")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    program = f"import tempfile; tempfile.tempdir = {str(temporary)!r}; {WHERE}"
    made = run(copied, program, tmp_path / "file")
    assert Path(made.stdout.strip()).is_relative_to(temporary)
    (line,) = made.stderr.splitlines()
    assert line.startswith("tercel: kernel cache ")
    assert "TERCEL_CACHE_DIR" in line


def test_nowhere_to_write_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERCEL_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="no writable folder for compiled kernels"):
        jit.open_cache("0123")
    assert capsys.readouterr().err == ""  # the message above is the one line


def test_a_temporary_folder_is_our_own_and_stays_so(tmp_path: Path) -> None:
    folder = jit._private_temporary(tmp_path)
    assert folder == tmp_path / f"tercel-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    jit._private_temporary.cache_clear()
    assert jit._private_temporary(tmp_path) == folder


@pytest.mark.parametrize("planted", ["group", "others", "link", "file", "owner"])
def test_a_temporary_folder_that_others_could_fill_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    """numba's index files run code when they are loaded."""
    guessed = tmp_path / f"tercel-{os.getuid()}"
    if planted == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        guessed.symlink_to(tmp_path / "elsewhere")
    elif planted == "file":
        guessed.write_text("")
    elif planted == "owner":
        mine = os.getuid()
        guessed = tmp_path / f"tercel-{mine + 1}"
        guessed.mkdir(mode=0o700)
        monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    else:
        guessed.mkdir()
        guessed.chmod(0o770 if planted == "group" else 0o707)
    folder = jit._private_temporary(tmp_path)
    assert folder != guessed
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERCEL_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert jit.cache_root() == tmp_path / "tercel"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert jit.cache_root() == tmp_path / ".cache" / "tercel"
    monkeypatch.setenv("TERCEL_CACHE_DIR", str(tmp_path / "own"))
    assert jit.cache_root() == tmp_path / "own"


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this process, put back afterwards."""
    monkeypatch.setenv("TERCEL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(jit.settings, "CACHE_DIR", "")
    return tmp_path / "kernels"


def test_old_folders_are_pruned(kernels: Path) -> None:
    for age in range(12):
        folder = jit.open_cache(f"key-{age}")
        os.utime(folder, (1_000_000 + age, 1_000_000 + age))
    (kernels / "a file").write_text("")
    newest = jit.open_cache("newest")
    left = {folder.name for folder in kernels.iterdir() if folder.is_dir()}
    assert newest.name in left
    assert len(left) == jit.CACHE_FOLDERS_KEPT
    assert "key-11" in left
    assert "key-0" not in left


def test_a_folder_in_use_is_not_an_old_one(kernels: Path) -> None:
    """The core's own cache outlives any number of edits to a user's strategy."""
    for edits in range(12):
        core = jit.open_cache("core")
        edited = jit.open_cache(f"edit-{edits}")
        assert core.is_dir()
        for folder, age in ((core, 1), (edited, 1_000_000 + edits)):
            os.utime(folder, (age, age))


def test_many_files_loaded_by_one_process_do_not_prune_the_core(
    kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Touched when the process began, it is the oldest of all by the time the ninth is loaded."""
    core = jit.open_cache("core")
    monkeypatch.setattr(jit, "CACHE_FOLDER", core)
    mine = tmp_path / "mine.py"
    for number in range(12):
        os.utime(core, (1, 1))
        mine.write_text(f"x = {number}")
        with jit.cache_of([mine]) as folder:
            assert core.is_dir()
        os.utime(folder, (1_000_000 + number, 1_000_000 + number))


def test_the_hash_knows_names_and_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a")
    two.write_text("b")
    both = jit.hash_sources([one, two])
    assert jit.hash_sources([two, one]) == both
    assert jit.hash_sources([one]) != both
    two.write_text("c")
    assert jit.hash_sources([one, two]) != both
    assert jit.core_hash() == jit.hash_sources(jit.CORE_ROOT.rglob("*.py"))


def test_the_cache_of_a_users_files_is_their_own(kernels: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("x = 1")
    with jit.cache_of([mine]) as folder:
        assert str(folder) == jit.settings.CACHE_DIR
        assert folder.parent == kernels
    assert jit.settings.CACHE_DIR == ""
    mine.write_text("x = 2")
    with jit.cache_of([mine]) as other:
        assert other != folder
