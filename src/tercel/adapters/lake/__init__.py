"""The lake: closed bars, one Parquet file a month, and what is known beside them."""

from tercel.adapters.lake.context import LakeContextStore
from tercel.adapters.lake.export import write_table
from tercel.adapters.lake.store import LakeBarStore

__all__ = ["LakeBarStore", "LakeContextStore", "write_table"]
