"""The first tables. `?` after a type: it may be NULL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

COLUMNS = {
    "journal_session": (
        "session_id:text time_ms:int mode:text venue:text strategies:text symbols:text "
        "timeframe:text configuration:text image:bytes "
    ),
    "journal_session_end": ("session_id:text time_ms:int exit_code:int why:text "),
    "journal_input": ("session_id:text number:int time_ms:int kind:text payload:bytes "),
    "journal_evaluation": (
        "session_id:text time_ms:int stream:int strategy:text symbol:text side:int reason:text "
        "score:float? decision:text refusal:text view:text digest:text "
    ),
    "journal_signal": (
        "session_id:text time_ms:int stream:int side:int price:float? stop_distance:float? "
        "target_distance:float? score:float? reason:text "
    ),
    "journal_refusal": ("session_id:text time_ms:int stream:int side:int refusal:text "),
    "journal_intent": (
        "session_id:text time_ms:int client_id:text action:text stream:int slot:text symbol:text "
        "side:int kind:text quantity:float? price:float? trigger_price:float? reduce_only:bool "
        "reason:text "
    ),
    "journal_order": (
        "session_id:text time_ms:int client_id:text venue_id:text phase:text "
        "filled_quantity:float? code:int text:text round_trip_ms:float? "
    ),
    "journal_fill": (
        "session_id:text time_ms:int trade_id:text client_id:text stream:int slot:text "
        "symbol:text side:int price:float? reference_price:float? quantity:float? "
        "fee_quote:float? is_maker:bool kind:text desk:text "
    ),
    "journal_trade": (
        "session_id:text desk:text stream:int strategy:text symbol:text side:int entry_time:int "
        "exit_time:int quantity:float? entry_price:float? exit_price:float? gross_quote:float? "
        "fee_quote:float? slippage_quote:float? funding_quote:float? net_quote:float? "
        "risk_quote:float? exit_reason:text record:bytes "
    ),
    "journal_position": (
        "session_id:text time_ms:int stream:int symbol:text side:int quantity:float? "
        "entry_price:float? mark_price:float? stop_price:float? unrealised_quote:float? "
    ),
    "journal_equity": (
        "session_id:text time_ms:int desk:text equity_quote:float? cash_quote:float? "
        "exposure_quote:float? "
    ),
    "journal_breaker": ("session_id:text time_ms:int breaker:text action:text "),
    "journal_feed": ("session_id:text time_ms:int stream:text is_up:bool detail:text "),
    "journal_score": ("session_id:text time_ms:int name:text value:float? "),
    "journal_alert": ("session_id:text time_ms:int level:text code:text text:text stream:int "),
}
TYPES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "int": sa.BigInteger,
    "float": sa.Double,
    "text": sa.Text,
    "bytes": sa.LargeBinary,
    "bool": sa.Boolean,
}


def upgrade() -> None:
    """Make them, each with its number and its indexes."""
    for name, told in COLUMNS.items():
        columns = [column.split(":") for column in told.split()]
        op.create_table(
            name,
            sa.Column("row", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
            *(
                sa.Column(column, TYPES[kind.rstrip("?")](), nullable=kind.endswith("?"))
                for column, kind in columns
            ),
            sqlite_autoincrement=True,
        )
        for column in ("row", "client_id"):
            if column == "row" or [column, "text"] in columns:
                op.create_index(f"ix_{name}_{column}", name, ["session_id", column])
