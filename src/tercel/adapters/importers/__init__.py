"""Bar files of other makers: Binance archives, CSV and Parquet of any shape."""

from tercel.adapters.importers.reader import BarFileReader

__all__ = ["BarFileReader"]
