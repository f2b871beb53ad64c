"""A simulated futures exchange: a pure core, a market to drive it, and protocols in front of it.

`exchange/` is the core (accounts, orders, margin), `market/` turns bars into ticks. Start at
`exchange/exchange.py`.
"""
