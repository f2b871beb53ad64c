"""Real servers for what is said of one store alone."""

from __future__ import annotations

from tests.contract.servers import postgres_database, postgres_url, redis_namespace, redis_url

__all__ = ["postgres_database", "postgres_url", "redis_namespace", "redis_url"]
