"""Records moved as bytes: numpy copies them field by field, which takes ten times as long."""

from __future__ import annotations

import numpy as np

from tercel.core.records import Records


def copy_records(target: Records, source: Records) -> None:
    """Write `source` over `target`, which has no gaps. Raises ValueError where they are of
    different records or lengths.
    """
    if target.dtype != source.dtype or target.shape != source.shape:
        raise ValueError(f"{source.shape} {source.dtype} over {target.shape} {target.dtype}")
    target.view(np.uint8)[:] = source.view(np.uint8)


def load_records(target: Records, data: bytes) -> None:
    """Write what `tobytes` gave over `target`, a record or an array without gaps. Raises ValueError
    where it is of another size.
    """
    if len(data) != target.nbytes or not target.flags.c_contiguous:
        raise ValueError(f"{len(data)} bytes for records of {target.nbytes}")
    target.reshape(-1).view(np.uint8)[:] = np.frombuffer(data, np.uint8)


def first_records(records: Records, count: int) -> Records:
    """A copy of the first `count` records."""
    made = np.empty(count, records.dtype)
    copy_records(made, records[:count])
    return made


def joined(parts: list[Records], dtype: np.dtype[np.record]) -> Records:
    """`parts` one after the other; numpy would compare their fields for each of them."""
    whole = b"".join(part.tobytes() for part in parts)
    return np.frombuffer(bytearray(whole), dtype)
