"""Parallel work on this machine."""

from tercel.adapters.workers.threads import ThreadWorkers

__all__ = ["ThreadWorkers"]
