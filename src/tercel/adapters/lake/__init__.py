"""The lake of closed bars: one Parquet file a month."""

from tercel.adapters.lake.export import write_table
from tercel.adapters.lake.store import LakeBarStore

__all__ = ["LakeBarStore", "write_table"]
