"""Parallel work on a Ray cluster: the extra `ray`. It is imported when work begins."""

from tercel.adapters.ray.workers import ClusterError, RayWorkers

__all__ = ["ClusterError", "RayWorkers"]
