"""Use-cases. Everything outside (files, venues, clocks, screens) is reached through `ports`."""
