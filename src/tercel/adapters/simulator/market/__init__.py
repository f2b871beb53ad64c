"""A market for the simulated exchange: bars walked as trades, books and mark prices."""
