"""Tercel: a crypto-futures scalping engine whose backtest and live trading are the same code."""

__version__ = "0.3.0"
