"""How far a backtest can be believed after many have been tried, and whether live still follows it.

Pure functions over arrays of returns or trades; randomness comes as a seeded numpy Generator.

1. `trial_matrix`: returns of all trials side by side, checked; Sharpe ratios of parts of them.
2. `deflated`: the Sharpe ratio that luck alone would have found, and the chance of being above it.
3. `pbo`: how often the best trial in one half of the data is below the median in the other half.
4. `cpcv`: many out-of-sample paths from one history, by choosing on the rest of it.
5. `bootstrap`: intervals of the Sharpe ratio and of the maximum drawdown.
6. `permutation`: would the same trades at other times have earned as much?
7. `sequential`, `trade_rate`: do live trades still come from the distribution of the backtest?

`docs/overfitting.md` explains each in plain words, with worked numbers and limits.
"""
