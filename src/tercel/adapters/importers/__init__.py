"""Files of other makers, bars and context: Binance archives, CSV and Parquet of any shape."""

from tercel.adapters.importers.context import ContextFileReader
from tercel.adapters.importers.reader import BarFileReader

__all__ = ["BarFileReader", "ContextFileReader"]
