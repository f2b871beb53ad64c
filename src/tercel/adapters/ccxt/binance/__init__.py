"""Binance USD-M as the live adapter speaks it."""
