"""One file per indicator: a record dtype, a `<name>_step` that advances it by one bar, its warm-up.

Rules that every file here keeps:

- `<name>_step(state, inputs..., lengths...)` changes `state` in place and returns the value (the
  main one where there are several: all of them are fields of the state). NaN until warm.
- `WARMUP` or `warmup(lengths...)`: how many bars come out NaN before the first value.
- No field is named like an attribute of numpy's scalars (`sum`, `mean`, `std`, `size`, `view`,
  `squeeze` ...): without the JIT, reading it would give the attribute.
- A zeroed record (`jit.new(dtype)`) is a fresh state. The lengths given to a state never change.
- Inputs that are not finite never raise. A *window* that holds one gives NaN and is well again
  once it has left. A *recursive* indicator (EMA, RSI, ATR ...) skips it: NaN for that bar, its
  state as it was; so indicators can be chained without caring for each other's warm-up.
- 0 / 0 is NaN (the z-score of a constant, the RSI of a price that never moved), not an invention.
"""
