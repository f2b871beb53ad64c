"""One exchange of ccxt is loaded without the others, and nobody else notices."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.market_data import once

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


NAMED = """
import ccxt, ccxt.pro
for probe in ("__path__", "__spec__", "__file__", "__wrapped__", "__warningregistry__"):
    getattr(ccxt, probe, None)
assert "ccxt.kraken" not in sys.modules
assert ccxt.__version__ == ccxt.pro.__version__ and ccxt.__version__[0].isdigit()
assert "ccxt.kraken" in sys.modules and "kraken" in ccxt.__all__
assert ccxt.pro.binanceusdm is made
"""
STARRED = """
from ccxt import *
from ccxt.pro import *
assert "kraken" in exchanges and isinstance(kraken, type)
"""
HALF_WAY = """
import ccxt
before = set(vars(ccxt))

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name == "ccxt.kraken":
            raise ImportError("the disk fails")

sys.meta_path.insert(0, Refusing())
for _ in range(2):
    try:
        ccxt.exchanges
    except ImportError as error:
        assert "the disk fails" in str(error)
    else:
        raise AssertionError("it cannot be opened")
    assert set(vars(ccxt)) == before
assert ccxt.alpaca.__module__ == "ccxt.alpaca"
del sys.meta_path[0]
assert "kraken" in ccxt.exchanges and ccxt.kraken.__module__ == "ccxt.kraken"
assert ccxt.alpaca.__module__ == "ccxt.alpaca"
assert ccxt.pro.binanceusdm is made
"""
AFTER = [LOADED + more for more in (AFTERWARDS, NAMED, STARRED, HALF_WAY)]


@once
@pytest.mark.parametrize("program", [LOADED, *AFTER, BEFORE])
def test_in_a_fresh_process(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
