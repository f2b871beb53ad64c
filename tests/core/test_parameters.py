"""Parameters of a strategy: what a user may turn, and what is said when it cannot be turned so."""

from __future__ import annotations

import math

import pytest

from tercel.core.parameters import Param, parameters

LENGTH = Param("length", 20, 2, 500, "bars", "length of the average")
RATIO = Param("ratio", 1.8, 1.0, 10.0, "x", "how much more")
SOURCE = Param("source", "near", choices=("near", "far"), meaning="measured from")
ALL = parameters(LENGTH, RATIO, SOURCE)


def test_values_have_their_parameters_type() -> None:
    assert ALL.values({"length": 30.0, "ratio": 2, "source": "far"}) == {
        "length": 30,
        "ratio": 2.0,
        "source": "far",
    }
    assert isinstance(ALL.values({"length": 30.0})["length"], int)
    assert isinstance(ALL.values({"ratio": 2})["ratio"], float)
    assert ALL.values() == {"length": 20, "ratio": 1.8, "source": "near"}
    assert ALL.names == ("length", "ratio", "source")


@pytest.mark.parametrize(
    ("param", "value", "message"),
    [
        (LENGTH, 1, "length: expected 2 to 500 bars, got 1"),
        (LENGTH, 20.5, "length: expected 2 to 500 bars, got 20.5: it must be a whole number"),
        (LENGTH, "20", "length: expected 2 to 500 bars, got '20'"),
        (LENGTH, True, "length: expected 2 to 500 bars, got True"),
        (LENGTH, math.nan, "length: expected 2 to 500 bars, got nan"),
        (LENGTH, math.inf, "length: expected 2 to 500 bars, got inf"),
        (RATIO, 10.1, "ratio: expected 1 to 10 x, got 10.1"),
        (RATIO, None, "ratio: expected 1 to 10 x, got None"),
        (SOURCE, "nearest", "source: expected near | far, got 'nearest'"),
        (SOURCE, 0, "source: expected near | far, got 0"),
    ],
)
def test_a_value_that_does_not_fit(param: Param, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=r"expected") as error:
        param.parse(value)
    assert str(error.value) == message


def test_an_unknown_name() -> None:
    with pytest.raises(KeyError, match="lenght"):
        ALL.values({"lenght": 3})
    assert ALL["ratio"] is RATIO
    with pytest.raises(KeyError):
        ALL["raito"]


def test_the_record_that_kernels_read() -> None:
    record = ALL.record({"length": 7, "ratio": 1.5, "source": "far"}, 60_000)
    assert (record.bar_ms, record.length, record.ratio, record.source) == (60_000, 7, 1.5, 1)
    assert ALL.dtype.names == ("bar_ms", "length", "ratio", "source")
    kinds = [ALL.dtype[name].kind for name in ALL.names]
    assert kinds == ["i", "f", "i"]


def test_a_name_is_used_once_and_hides_nothing() -> None:
    with pytest.raises(ValueError, match="two fields called 'length'"):
        parameters(LENGTH, LENGTH)
    with pytest.raises(ValueError, match="numpy's records have that name"):
        parameters(Param("size", 1, 0, 2))
