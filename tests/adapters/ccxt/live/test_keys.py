"""API keys: where they are read, who else can read them, and that nothing shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tercel.adapters.ccxt.keys import ApiKeys, read_env_file, read_keys
from tercel.domain.errors import ConfigError, UserError

BOTH = {"TERCEL_BINANCE_API_KEY": "envkey", "TERCEL_BINANCE_API_SECRET": "envsecret"}


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / ".env"
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def test_the_environment_has_them(tmp_path: Path) -> None:
    keys = read_keys("binance-usdm", BOTH, tmp_path)
    assert (keys.key, keys.secret) == ("envkey", "envsecret")
    assert keys.origin == (
        "TERCEL_BINANCE_API_KEY in the environment and TERCEL_BINANCE_API_SECRET in the environment"
    )


def test_a_file_of_the_working_folder_has_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        "# keys\n\nexport TERCEL_BINANCE_API_KEY='filekey'\n"
        'TERCEL_BINANCE_API_SECRET = "file=secret" # mine\nOTHER=1\n',
    )
    keys = read_keys("binance-usdm", {}, tmp_path)
    assert (keys.key, keys.secret) == ("filekey", "file=secret")


def test_the_environment_wins_part_by_part(tmp_path: Path) -> None:
    write(tmp_path, "TERCEL_BINANCE_API_KEY=filekey\nTERCEL_BINANCE_API_SECRET=filesecret\n")
    keys = read_keys("binance-usdm", {"TERCEL_BINANCE_API_KEY": "envkey"}, tmp_path)
    assert (keys.key, keys.secret) == ("envkey", "filesecret")
    assert keys.origin == (
        "TERCEL_BINANCE_API_KEY in the environment and TERCEL_BINANCE_API_SECRET in "
        f"{tmp_path / '.env'}"
    )


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path, "TERCEL_BINANCE_API_KEY=a\nTERCEL_BINANCE_API_SECRET=verysecret\n", mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        read_keys("binance-usdm", {}, tmp_path)
    assert "verysecret" not in str(caught.value)


def test_such_a_file_is_not_even_looked_at_when_the_environment_has_both(tmp_path: Path) -> None:
    write(tmp_path, "nonsense", 0o644)
    assert read_keys("binance-usdm", BOTH, tmp_path).key == "envkey"


@pytest.mark.parametrize(
    "text", ["verysecret\n", "A B=verysecret\n", "=verysecret\n", "\ufffe=verysecret"]
)
def test_a_bad_line_is_named_by_its_number_and_not_shown(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigError, match="line 1") as caught:
        read_env_file(tmp_path / ".env")
    assert "verysecret" not in str(caught.value)


def test_what_is_missing_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="TERCEL_BINANCE_API_SECRET not set") as caught:
        read_keys("binance-usdm", {"TERCEL_BINANCE_API_KEY": "a"}, tmp_path)
    assert "\n" not in str(caught.value)
    assert "API_KEY and" not in str(caught.value)


def test_no_file_is_no_error_and_a_folder_is_one(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / "absent") == {}
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match="plain file"):
        read_env_file(tmp_path / ".env")


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env", 0o600)
    with pytest.raises(ConfigError, match="plain file"):
        read_env_file(tmp_path / ".env")


def test_a_huge_or_binary_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "A=1\n" * 20_000)
    with pytest.raises(ConfigError, match="larger"):
        read_env_file(tmp_path / ".env")
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_env_file(tmp_path / ".env")


@pytest.mark.parametrize("bad", ["with space", "schlüssel"])
def test_a_key_with_characters_no_key_has_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ConfigError, match="no key has") as caught:
        read_keys("binance-usdm", {**BOTH, "TERCEL_BINANCE_API_SECRET": bad}, tmp_path)
    assert bad not in str(caught.value)


def test_other_venues_have_no_keys_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="binance-usdm"):
        read_keys("bybit-linear", BOTH, tmp_path)


def test_keys_show_themselves_nowhere() -> None:
    keys = ApiKeys("akey", "asecret")
    assert "akey" not in f"{keys!r} {keys!s}"
    assert "asecret" not in f"{keys!r} {keys!s}"
    assert keys.redact("sent with akey and asecret") == "sent with *** and ***"
