"""States of a session as stores keep them: nothing in them has its default."""

from __future__ import annotations

import dataclasses

from tercel.core.codes import OrderKind, Slot
from tercel.domain.orders import OrderPhase, OrderRequest
from tercel.domain.session_state import (
    ActivePosition,
    CachedScore,
    KernelImage,
    SavedOrder,
    SessionState,
)

EVERY_BYTE = bytes(range(256))


def full_state(number: int = 7) -> SessionState:
    """A state in which every field has a value of its own, and `number` is in every one."""
    position = ActivePosition(
        symbol="BTCUSDT",
        strategy="three_r",
        direction="long",
        entry_price=60_000.1 + number,
        stop_price=59_900.0,
        target_price=60_300.5,
        position_size=0.003,
        entry_time_utc=1_700_000_000_000 + number,
        stop_order_id=f"t-s1-0-1-{number}",
        target_order_id="",
    )
    stop = OrderRequest(
        client_id=f"t-s1-0-1-{number}",
        symbol="BTCUSDT",
        side=-1,
        kind=OrderKind.STOP,
        quantity=0.003,
        trigger_price=59_900.0,
        reduce_only=True,
        stream=2,
        slot=Slot.STOP,
        reason=3,
    )
    entry = dataclasses.replace(stop, kind=OrderKind.LIMIT, price=60_000.1, trigger_price=None)
    scores = [CachedScore(0.01 * each + number, 1_700_000_000_000 + each) for each in range(5)]
    return SessionState(
        automation_enabled=bool(number % 2),
        mode=f"paper{number}",
        active_position=(position, dataclasses.replace(position, symbol="ETHUSDT")),
        account_balance=10_000.25 + number,
        rolling_24h_pnl=-12.5 - number,
        daily_trade_count=number,
        daily_trade_date=f"2024-06-25+{number}",
        consecutive_losses=number,
        cooldown_until=1_700_000_060_000 + number,
        funding_rate_cache=scores[0],
        oi_cache=scores[1],
        ls_ratio_cache=scores[2],
        fear_greed_cache=scores[3],
        onchain_flow_cache=scores[4],
        backtest_validated=bool(number % 2),
        backtest_validated_config_hash=f"ab{number}",
        ghost_pnl=1.5 + number,
        ghost_trade_count=number,
        ghost_win_rate=number / (number + 3),
        shadow_pnl=2.5 + number,
        shadow_trade_count=number,
        is_paused=bool(number % 2),
        kill_latched=f"by hand \N{EM DASH} {number}",
        session_id=f"s{number}",
        order_number=number,
        orders=(
            SavedOrder(stop, OrderPhase.ACKED, 0.0, f"v{number}", 1_700_000_000_100),
            SavedOrder(entry, OrderPhase.PARTLY_FILLED, 0.001, "", number, (1.0, 0.1 + 0.2)),
        ),
        seen_fills=(f"BTCUSDT:{number}", "ETHUSDT:2"),
        fills_since_ms=1_700_000_000_000 + number,
        kernel=KernelImage(
            fingerprint=f"f{number}",
            labels=("three_r binance-usdm BTCUSDT 1m",),
            account=EVERY_BYTE + str(number).encode(),
            streams=EVERY_BYTE * 40,
            markets=b"",
        ),
        saved_ms=1_700_000_000_000 + number,
    )
