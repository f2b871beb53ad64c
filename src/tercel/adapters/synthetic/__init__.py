"""The synthetic market: bars, context, depth and trades from a seed; a planted edge if asked for.

Start at `bars.generate`. Facts and formulas: docs/synthetic.md.
"""

from tercel.adapters.synthetic.bars import generate
from tercel.adapters.synthetic.context import MarketContext, context_series, generate_context
from tercel.adapters.synthetic.edge import EdgeWorth, edge_worth, planted_drift, planted_sides
from tercel.adapters.synthetic.forces import MarketRegime, hidden_regimes
from tercel.adapters.synthetic.memory import MarketFiles
from tercel.adapters.synthetic.ticks import DepthLadders, generate_depth, generate_trades
from tercel.app.synthesise import SyntheticMarket, market_named

__all__ = [
    "DepthLadders",
    "EdgeWorth",
    "MarketContext",
    "MarketFiles",
    "MarketRegime",
    "SyntheticMarket",
    "context_series",
    "edge_worth",
    "generate",
    "generate_context",
    "generate_depth",
    "generate_trades",
    "hidden_regimes",
    "market_named",
    "planted_drift",
    "planted_sides",
]
