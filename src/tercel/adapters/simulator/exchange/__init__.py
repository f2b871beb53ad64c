"""The exchange itself: no protocol, no clock, no I/O. Same calls, same answers, same events."""
