"""The simulated exchange as Binance USD-M speaks: requests and frames in, replies and frames out.

Nothing here reads a clock or a socket: every call is given the time, and the mounts carry bytes.
"""
