"""Strategies, one file each: PARAMS, REASONS, PLAN, state_dtype, step and its batch loop signals.

A strategy is a pure function of market data: `step` is given one closed bar and its own past state.
It never sees positions, prices to come, or a clock.
"""
