"""A session's state on a Redis server. This package alone speaks Redis."""

from __future__ import annotations

from tercel.adapters.redis_state.lease import RedisLease
from tercel.adapters.redis_state.store import RedisStateStore

__all__ = ["RedisLease", "RedisStateStore"]
