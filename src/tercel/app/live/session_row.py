"""What a session was, in its row of the journal, and the session again from that row.

`configuration` of a SessionRow is JSON: the streams (strategy, values, STREAM settings as bytes),
the series, the account, the rules and the state it began with; beside them, for people, settings
and versions. With `image` and the inputs it is enough to decide everything again.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import platform
from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import ValidationError

from tercel import __version__
from tercel.app.backtest import AccountSpec, FlowFilter
from tercel.app.live.keeping import load_image
from tercel.app.live.parts import BesideRules, SessionRules
from tercel.app.live.plan import LiveStream, SessionPlan
from tercel.app.live.session import Session, SessionMemory
from tercel.app.live.state_codec import decode, encode
from tercel.app.strategies import Strategy, built_in_names, load_strategy
from tercel.core.records import ACCOUNT, LIMITS, PACE, STREAM
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import DataError
from tercel.domain.journal import SessionRow
from tercel.domain.live_settings import ExecutionSettings, SessionSettings
from tercel.domain.results import StreamLabel
from tercel.domain.settings import Settings, redacted

PACKAGES = ("numpy", "numba", "llvmlite")
"""What computes: another version of one may round differently."""


def session_row(session: Session, settings: Settings, now_ms: int) -> SessionRow:
    """The row of `session`, before its first event."""
    plan, rules = session.parts.plan, session.parts.rules
    configuration = {
        "streams": [_stream_told(stream) for stream in plan.streams],
        "series": [[key.venue, key.symbol, key.timeframe] for key in plan.series],
        "account": {
            "start_quote": plan.account.start_quote,
            "limits": _text_of(plan.account.limits),
            "pace": None if plan.account.pace is None else _text_of(plan.account.pace),
            "clusters": dict(plan.account.clusters),
        },
        "rules": {
            **{name: getattr(rules, name) for name in RULE_FLAGS},
            "session": rules.session.model_dump(mode="json"),
            "execution": rules.execution.model_dump(mode="json"),
            "beside": asdict(rules.beside),
        },
        "state": encode(session.kept),
        "evaluations": settings.journal.evaluations,
        "settings": redacted(settings.model_dump(mode="json")),
        "versions": versions(),
    }
    return SessionRow(
        session_id=session.session_id,
        time_ms=now_ms,
        mode=rules.mode,
        venue=rules.venue,
        strategies=",".join(dict.fromkeys(each.label.strategy for each in plan.streams)),
        symbols=",".join(plan.symbols),
        timeframe=plan.series[0].timeframe,
        configuration=json.dumps(configuration, sort_keys=True),
        image=session.image(),
    )


RULE_FLAGS = (
    "venue",
    "mode",
    "is_exact",
    "reads_venue",
    "nets_positions",
    "automation_at_start",
)
"""Fields of SessionRules that JSON has as they are."""


def versions() -> dict[str, str]:
    """Of Tercel, Python and what computes."""
    return {
        "tercel": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }


def plan_from_row(row: SessionRow) -> SessionPlan:
    """What the session traded. Raises DataError, UserError where a strategy is gone."""
    told = _configuration(row)
    try:
        account = told["account"]
        pace = account["pace"]
        return SessionPlan(
            tuple(_stream_of(each) for each in told["streams"]),
            tuple(SeriesKey(*names) for names in told["series"]),
            AccountSpec(
                float(account["start_quote"]),
                _record_of(account["limits"], LIMITS),
                None if pace is None else _record_of(pace, PACE),
                account["clusters"],
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(row, error) from error


def session_from_row(row: SessionRow, plan: SessionPlan | None = None) -> Session:
    """The session as it was before its first event. Raises DataError, UserError."""
    told = _configuration(row)
    try:
        rules = told["rules"]
        made = SessionRules(
            session=SessionSettings.model_validate(rules["session"]),
            execution=ExecutionSettings.model_validate(rules["execution"]),
            beside=BesideRules(**rules["beside"]),
            **{name: rules[name] for name in RULE_FLAGS},
        )
        state = decode(told["state"], f"session {row.session_id}").state
    except (KeyError, TypeError, ValidationError) as error:
        raise _unreadable(row, error) from error
    memory = SessionMemory(state, row.session_id)
    session = Session(plan or plan_from_row(row), made, memory)
    load_image(session, row.image)
    return session


def account_at_start(row: SessionRow) -> float:
    """Cash of the account that the session began with, quote. Raises DataError."""
    try:
        return float(_record_of(json.loads(row.image)["account"], ACCOUNT)["cash_quote"])
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(row, error) from error


def changes_since(row: SessionRow, plan: SessionPlan) -> list[str]:
    """Why the same inputs may be decided differently now, a line each: code, versions."""
    told = _configuration(row)
    found = []
    for kept, stream in zip(told["streams"], plan.streams, strict=True):
        then = [kept["code_hash"], (kept["flow"] or {}).get("code_hash")]
        now = [stream.strategy.code_hash, stream.flow and stream.flow.strategy.code_hash]
        if then != now:
            found.append(f"the code of {stream.label.strategy} has changed since the session")
    here = versions()
    found += [
        f"{name} was {version}, now it is {here.get(name, 'not there')}"
        for name, version in told["versions"].items()
        if here.get(name) != version
    ]
    return list(dict.fromkeys(found))


def journals_quiet_evaluations(row: SessionRow) -> bool:
    """Whether the journal keeps evaluations of bars without a signal."""
    return bool(_configuration(row).get("evaluations", "all") == "all")


def _configuration(row: SessionRow) -> dict[str, Any]:
    try:
        told = json.loads(row.configuration)
    except ValueError as error:
        raise _unreadable(row, error) from error
    if not isinstance(told, dict) or "streams" not in told:
        raise DataError(
            f"session {row.session_id}: its row does not say what it traded; it was journaled by "
            "another version"
        )
    return told


def _unreadable(row: SessionRow, error: Exception) -> DataError:
    why = " ".join(str(error).split())
    return DataError(
        f"session {row.session_id}: its row cannot be read ({type(error).__name__}: {why}); it was "
        "journaled by another version, or is damaged"
    )


# --- streams --------------------------------------------------------------------------------------


def _stream_told(stream: LiveStream) -> dict[str, Any]:
    return {
        "label": asdict(stream.label),
        "strategy": _reference(stream.strategy),
        "code_hash": stream.strategy.code_hash,
        "values": stream.values,
        "settings": _text_of(stream.settings),
        "series": stream.series,
        "flow": None
        if stream.flow is None
        else {
            "strategy": _reference(stream.flow.strategy),
            "code_hash": stream.flow.strategy.code_hash,
            "values": stream.flow.values,
            "score_min": stream.flow.score_min,
        },
    }


def _stream_of(told: dict[str, Any]) -> LiveStream:
    flow = told["flow"]
    return LiveStream(
        StreamLabel(**told["label"]),
        load_strategy(told["strategy"]),
        told["values"],
        _record_of(told["settings"], STREAM),
        int(told["series"]),
        None
        if flow is None
        else FlowFilter(load_strategy(flow["strategy"]), flow["values"], float(flow["score_min"])),
    )


def _reference(strategy: Strategy) -> str:
    """What `load_strategy` finds it by: a name, or the path of a user's file."""
    is_ours = (
        strategy.name in built_in_names() and load_strategy(strategy.name).path == strategy.path
    )
    return strategy.name if is_ours else str(strategy.path)


def _text_of(record: Any) -> str:
    return base64.b64encode(record.tobytes()).decode()


def _record_of(text: str, dtype: np.dtype[np.record]) -> Any:
    """The record of `_text_of`. Raises ValueError where it is of another layout."""
    data = base64.b64decode(text, validate=True)
    if len(data) != dtype.itemsize:
        raise ValueError(f"a record of {len(data)} bytes, expected {dtype.itemsize}")
    return np.frombuffer(bytearray(data), dtype)[0]
