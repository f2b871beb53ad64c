"""REST klines of four venues through ccxt."""

from tercel.adapters.ccxt.source import CcxtBarSource

__all__ = ["CcxtBarSource"]
