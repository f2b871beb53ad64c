"""What a strategy file imports, in one place.

```python
from tercel.strategy import Param, Side, TradePlan, enter, kernel, no_signal, parameters, rec
from tercel.core.indicators.ema import EMA, ema_step
```

`tercel new my_idea` writes a commented file that uses them; docs/strategies.md explains each,
docs/indicators.md lists the indicators.
"""

from tercel.core.codes import Side
from tercel.core.indicators.window import capacity_for
from tercel.core.jit import kernel, new, rec
from tercel.core.parameters import Param, Parameters, parameters
from tercel.core.plan import TradePlan
from tercel.core.pressure import pressure_param, pressure_sizes
from tercel.core.signal import enter, no_signal
from tercel.core.timeframe import RESAMPLE, is_fresh, resample_step

__all__ = [
    "RESAMPLE",
    "Param",
    "Parameters",
    "Side",
    "TradePlan",
    "capacity_for",
    "enter",
    "is_fresh",
    "kernel",
    "new",
    "no_signal",
    "parameters",
    "pressure_param",
    "pressure_sizes",
    "rec",
    "resample_step",
]
