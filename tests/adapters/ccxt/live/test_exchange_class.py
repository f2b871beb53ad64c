"""One exchange of ccxt is loaded without the others, and nobody else notices."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("ccxt")

LOADED = """
from tercel.adapters.ccxt.exchange_class import exchange_class
import sys
made = exchange_class("binanceusdm")
assert "ccxt.kraken" not in sys.modules and "ccxt.async_support.kraken" not in sys.modules
client = made({})
assert client.id == "binanceusdm" and made.__mro__[2].__module__ == "ccxt.async_support.binance"
"""
AFTERWARDS = """
import ccxt, ccxt.async_support, ccxt.pro
import ccxt.base.errors
assert ccxt.pro.binanceusdm is made
assert ccxt.NetworkError is ccxt.async_support.NetworkError is ccxt.base.errors.NetworkError
assert ccxt.Exchange.__module__ == "ccxt.base.exchange"
assert ccxt.async_support.Exchange.__module__ == "ccxt.async_support.base.exchange"
assert ccxt.async_support.kraken.__module__ == "ccxt.async_support.kraken"
assert "binance" in ccxt.exchanges and "kraken" in ccxt.pro.exchanges
assert ccxt.pro.binanceusdm is made and ccxt.async_support.binance is made.__mro__[2]
assert exchange_class("binanceusdm") is made
try:
    ccxt.no_such_thing
except AttributeError:
    pass
else:
    raise AssertionError("there is no such thing")
"""
BEFORE = """
import ccxt.pro
from tercel.adapters.ccxt.exchange_class import exchange_class
assert exchange_class("binanceusdm") is ccxt.pro.binanceusdm
"""


@pytest.mark.parametrize("program", [LOADED, LOADED + AFTERWARDS, BEFORE])
def test_in_a_fresh_process(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
