"""A run's marks as bytes for the live chart: a JSON header of our own and 8-byte aligned columns behind it.

Comes in: `Run`s. Goes out: `payload` (the picture at one version, encoded once for all viewers of the process) and
`texts` (the prompts' first words, the same bytes as long as the run lives, so that Streamlit sends them once).
The format: a magic word, the header's length, the header, padding, the columns; `gantt/decode.js` reads it.
Knows no Streamlit. The cache is shared by all sessions and holds locks; encoding itself is pure.
"""

from __future__ import annotations

import json
import struct
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from os.path import commonprefix
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dashboard.figures import phase, short_hold
from dashboard.gantt.holds import HELD, hold_look
from dashboard.gantt.marks import Marks, MarkTable, Steps, in_flight
from dashboard.gantt.waits import WAIT_KINDS
from dashboard.quota_words import move_words
from dashboard.rows import SHARES
from fanout.clock import NS_PER_S
from fanout.run import Run

MAGIC: Final = b"FOG1"
HOVER_CHARACTERS: Final = 80
KEPT_TABLES: Final = 12
"""Runs whose columns are kept for the next refresh."""
KEPT_PAYLOADS: Final = 24
TICK_NS: Final = 5 * NS_PER_S
"""A live run without news is encoded again after this long, for viewers who open it then; the browser of one who
watches moves the "now" line by itself."""
WINDOW_ABOVE: Final = 400
"""Rows above which a live row view opens on its active part."""
WINDOW: Final = 60
MOST_MOVES: Final = 500
"""Changes of max_workers whose words are sent."""

Columns = Mapping[str, NDArray[Any]]


def payload(
    run: Run, *, rows: bool, now_ns: int | None = None, baseline: Run | None = None, until_s: float = 0.0
) -> bytes:
    """The live chart's bytes for a run at its version; the identical object for everybody who asks the same.

    The time axis reaches at least to `until_s`, so that two charts can have the same one.
    """
    tick = 0 if run.ended or now_ns is None else now_ns // TICK_NS
    other = None if baseline is None else (baseline.run_id, baseline.version)
    key = (run.run_id, id(run.batch), run.version, rows, run.ended, tick, other, until_s)
    with _LOCK:
        found = _PAYLOADS.get(key)
        if found is not None:
            _PAYLOADS.move_to_end(key)
            return found
    beside = None if baseline is None else _marks_of(baseline)
    marks = _marks_of(run)
    made = encode(run, marks, rows=rows, now_ns=now_ns, baseline=beside, until_s=until_s)
    with _LOCK:
        kept = _PAYLOADS.setdefault(key, made)
        while len(_PAYLOADS) > KEPT_PAYLOADS:
            _PAYLOADS.popitem(last=False)
    return kept


def encode(
    run: Run,
    marks: Marks,
    *,
    rows: bool,
    now_ns: int | None = None,
    baseline: Marks | None = None,
    until_s: float = 0.0,
) -> bytes:
    """The picture as bytes: same run, same view, same instant, same bytes."""
    now_s = marks.last_s if run.ended or now_ns is None else max(marks.last_s, marks.axis.seconds(now_ns))
    places = _Places(marks, rows=rows, baseline=baseline)
    header = {
        "run": run.run_id,
        "version": marks.version,
        "live": not run.ended,
        "opening": run.state == "opening",
        "streamed": run.batch.streams,
        "rows": rows,
        "prompts": len(run.calls),
        "now_s": now_s,
        "own_s": marks.last_s,
        "beside_s": None if baseline is None else baseline.last_s,
        "max_workers": run.max_workers,
        "last_s": max(marks.last_s, 0.0 if baseline is None else baseline.last_s, until_s),
        "sections": places.sections,
        "errors": [*marks.errors, *(() if baseline is None else baseline.errors)],
        "breaks": [{"at_s": b.at_s, "idle_s": b.idle_s, "purpose": b.purpose} for b in marks.breaks],
        "paused": _paused(run, marks),
        "window": _window(marks) if rows and not run.ended and len(run.calls) > WINDOW_ABOVE else None,
        "wait_kinds": list(WAIT_KINDS),
        "held": [*map(phase, HELD), phase("workers")],
        "held_short": [*map(short_hold, HELD), ""],
        "held_looks": [*map(hold_look, HELD), ""],
        "moves": _moves(run, marks),
        "origins": marks.origins,
        "shares": SHARES,
    }
    columns = {**_mark_columns(marks, places, baseline), **_call_columns(marks, rows=rows)}
    columns |= _step_columns("flight", in_flight(marks)) | _step_columns("limit", marks.max_workers)
    if baseline is not None:
        columns |= _step_columns("beside", in_flight(baseline))
    columns["lag_at"] = np.array([marks.axis.seconds(lag.at_ns) for lag in run.lags], np.float64)
    columns["lag_s"] = np.array([lag.lag_ns / NS_PER_S for lag in run.lags], np.float32)
    return pack(header, columns)


def texts(run: Run) -> bytes:
    """The first 80 characters of each prompt after the prefix that all share, one line each, in input order."""
    with _LOCK:
        kept = _TEXTS.get(run.run_id)
        if kept is not None and kept[0] is run.batch:
            return kept[1]
    prefix = shared_prefix(run.batch.prompts)
    lines = [one_line(prompt[len(prefix) :], HOVER_CHARACTERS) for prompt in run.batch.prompts]
    header = {"run": run.run_id, "prefix": one_line(prefix, HOVER_CHARACTERS)}
    made = pack(header, {"lines": np.frombuffer("\n".join(lines).encode("utf-8"), np.uint8)})
    with _LOCK:
        _TEXTS[run.run_id] = (run.batch, made)
        while len(_TEXTS) > KEPT_TABLES:
            _TEXTS.popitem(last=False)
    return made


def one_line(text: str, most: int) -> str:
    """The first characters on one line: white space and control characters become single spaces."""
    start = text[: 4 * most]
    shown = " ".join("".join(c if c.isprintable() or c == "\u200d" else " " for c in start).split())
    return shown[:most] + ("…" if len(shown) > most or len(text) > len(start) else "")


def shared_prefix(prompts: Sequence[str]) -> str:
    """What all prompts begin with, up to a word's end; nothing where that is under 12 characters or says it all."""
    heads = [prompt[:2000] for prompt in prompts]
    low, high = min(heads), max(heads)
    if len(heads) < 3 or low == high:
        return ""
    shared = commonprefix([low, high])  # noqa: RUF071  # characters are what is meant
    shared = shared[: shared.rfind(" ") + 1]
    return shared if len(shared) >= 12 else ""


def pack(header: Mapping[str, Any], columns: Columns) -> bytes:
    """Header and columns as bytes; each column begins at a multiple of 8."""
    parts: list[bytes] = []
    table = []
    at = 0
    for name, column in columns.items():
        raw = np.ascontiguousarray(column).tobytes()
        table.append([name, column.dtype.str[1:], at, len(column)])
        padding = -len(raw) % 8
        parts += [raw, b"\0" * padding]
        at += len(raw) + padding
    head = json.dumps({**header, "columns": table}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    encoded = head.encode("utf-8", "replace")
    encoded += b" " * (-(8 + len(encoded)) % 8)
    return b"".join((MAGIC, struct.pack("<I", len(encoded)), encoded, *parts))


def unpack(raw: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `pack` packed; for tests and tools."""
    if raw[:4] != MAGIC:
        raise ValueError("these are not a chart's bytes")
    (length,) = struct.unpack_from("<I", raw, 4)
    header = json.loads(raw[8 : 8 + length])
    columns = {}
    for name, dtype, at, count in header["columns"]:
        columns[name] = np.frombuffer(raw, np.dtype("<" + dtype), count, 8 + length + at)
    return header, columns


class _Places:
    """Which row of the picture each mark is drawn in. A baseline's one lane lies above, as thick as it is read best."""

    def __init__(self, marks: Marks, *, rows: bool, baseline: Marks | None) -> None:
        count = len(marks.call_status) if rows else marks.lanes
        self.sections = [{"kind": "rows" if rows else "lanes", "count": count, "scale": 1.0}]
        self.row = marks.row[marks.call] if rows else marks.lane
        self.above = 0 if baseline is None else baseline.lanes
        if baseline is not None:
            scale = max(1.0, round(count / 16)) if rows else 1.0
            self.sections.insert(0, {"kind": "baseline", "count": baseline.lanes, "scale": scale})


def _mark_columns(marks: Marks, places: _Places, baseline: Marks | None) -> dict[str, NDArray[Any]]:
    sources = [(marks, places.row + places.above, 0)]
    if baseline is not None:
        sources.insert(0, (baseline, baseline.lane, len(marks.errors)))

    def joined(of: str, dtype: type) -> NDArray[Any]:
        return np.concatenate([getattr(each, of) for each, _, _ in sources]).astype(dtype)

    def since_start(of: str) -> NDArray[np.float32]:
        return np.concatenate([getattr(each, of) - each.start_s for each, _, _ in sources]).astype(np.float32)

    errors = [np.where(each.error > 0, np.minimum(each.error + np.int32(add), 255), 0) for each, _, add in sources]
    return {
        "start": joined("start_s", np.float64),
        "sent": since_start("sent_s"),
        "first": since_start("first_s"),
        "received": since_start("received_s"),
        "end": since_start("end_s"),
        "call": joined("call", np.uint32),
        "row": np.concatenate([row for _, row, _ in sources]).astype(np.uint32),
        "number": np.minimum(joined("number", np.int32), 255).astype(np.uint8),
        "status": joined("status", np.uint8),
        "error": np.concatenate(errors).astype(np.uint8),
    }


def _call_columns(marks: Marks, *, rows: bool) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {
        "call_status": marks.call_status,
        "input_tokens": marks.input_tokens,
        "output_tokens": marks.output_tokens,
        "hold_at": marks.holds.at_s,
        "hold": marks.holds.code,
    }
    if (marks.origin != -1).any():
        columns["origin"] = marks.origin
    if rows:
        columns |= {
            "row_of": marks.row.astype(np.uint32),
            "wait_from": marks.wait_from_s,
            "wait_for": (marks.wait_to_s - marks.wait_from_s).astype(np.float32),
            "wait_call": marks.wait_call.astype(np.uint32),
            "wait_kind": marks.wait_kind,
        }
    return columns


def _step_columns(name: str, steps: Steps) -> dict[str, NDArray[Any]]:
    return {f"{name}_at": steps.at_s, name: steps.value.astype(np.uint16)}


def _moves(run: Run, marks: Marks) -> list[dict[str, Any]]:
    """The latest changes of max_workers: when, from what to what and by whom, and why where there is more to say."""
    return [
        {"at_s": marks.axis.seconds(step.at_ns), "words": move_words(old.value, step), "why": step.why or ""}
        for old, step in pairwise(run.limits[-MOST_MOVES - 1 :])
    ]


def _paused(run: Run, marks: Marks) -> list[list[float | None]]:
    """[from, to] of each pause; to is None while it goes on."""
    bands: list[list[float | None]] = []
    for hold in run.holds:
        at_s = marks.axis.seconds(hold.at_ns)
        if bands and bands[-1][1] is None:
            bands[-1][1] = at_s
        if hold.held_by == "paused":
            bands.append([at_s, None])
    if bands and bands[-1][1] is None and run.ended:
        bands[-1][1] = marks.last_s
    return [band for band in bands if band[0] != band[1]]


def _window(marks: Marks) -> list[int]:
    """First and last row of the part where something goes on."""
    started = int(np.count_nonzero(np.bincount(marks.call, minlength=1)))
    running = marks.row[marks.call[np.isnan(marks.end_s)]]
    last = max(started, WINDOW)
    first = max(last - 4 * WINDOW, min(last - WINDOW, int(running.min(initial=last))))
    return [max(0, first), last]


class _Kept:
    """One run's table and the lock that keeps two sessions from writing it at once."""

    def __init__(self, run: Run) -> None:
        self.lock = threading.Lock()
        self.table = MarkTable(run)


_LOCK = threading.Lock()
"""Protects the three dictionaries below from sessions that draw at the same time; nothing is encoded under it."""
_PAYLOADS: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
_TABLES: OrderedDict[str, _Kept] = OrderedDict()
_TEXTS: OrderedDict[str, tuple[object, bytes]] = OrderedDict()


def _marks_of(run: Run) -> Marks:
    with _LOCK:
        kept = _TABLES.get(run.run_id)
        if kept is None or not kept.table.holds(run):
            kept = _TABLES[run.run_id] = _Kept(run)
        _TABLES.move_to_end(run.run_id)
        while len(_TABLES) > KEPT_TABLES:
            _TABLES.popitem(last=False)
    with kept.lock:
        return kept.table.update(run)
