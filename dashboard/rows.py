"""A run or an answer in a few words: when it began, how it stands, what came of it, where it comes from. Pure.

Comes in: a `RunRow`, or a `Call` and its `Run`. Goes out: plain text; names and models were typed by people and are for
the caller to escape.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo

from dashboard.safe import cut
from dashboard.units import duration
from fanout.run import Call, Run
from fanout.store.rows import RunRow

HELD = "Waiting for the store"
"""What a run does while what comes of it cannot be kept."""
_GOING = {"opening": "Getting ready", "running": "Running", "paused": "Paused", "stopping": "Stopping"}
ENDED_WORDS: Mapping[str, str] = {
    "interrupted": "Interrupted",
    "saved": "Saved half-way",
    "not_ready": "Not started",
    "stopped": "Stopped",
}
"""How a run stands that ended otherwise than by its last prompt. `saved`: it is of a file, and went on elsewhere."""
IMPORTED = "imported"
"""Beside the name of a run that was taken in from a file."""


def when(at_s: float, *, zone: tzinfo | None, now_s: float | None = None) -> str:
    """The wall time, in this zone (None: the server's), in which a day begins too.

    14:02:11 today, 12 May 14:02 this year, 12 May 2025 before.
    """
    now = datetime.now(zone) if now_s is None else datetime.fromtimestamp(now_s, zone)
    at = datetime.fromtimestamp(at_s, zone)
    if at.date() == now.date():
        return f"{at:%H:%M:%S}"
    return f"{at.day} {at:%b %H:%M}" if at.year == now.year else f"{at.day} {at:%b %Y}"


def day(at_s: float) -> str:
    """The day, as it reads for everybody and whenever it is read: 12 May 2025 UTC.

    In UTC, because the chart and the table that say it are made once for all who look, and a report for anybody.
    """
    at = datetime.fromtimestamp(at_s, UTC)
    return f"{at.day} {at:%b %Y} UTC"


SHARES = "shares the call of #"
"""Before the number of the identical prompt whose answer a prompt of the same run has."""


def origin(call: Call, *, run_id: str) -> str | None:
    """Whose answer a call of this run has, of an identical prompt or an earlier run; None where it was sent itself."""
    if call.origin is None:
        return None
    if call.origin.run_id == run_id:
        return f"{SHARES}{call.origin.call + 1}"
    return f"from run {call.origin.run_id[:8]}, {day(call.origin.answered_at_s)}"


def is_simulated(run: Run, call: Call) -> bool:
    """Whether its answer is the sandbox's."""
    return (call.model or run.batch.model) == "sandbox"


def simulated(run: Run, *, whose: str = "these answers") -> str | None:
    """That no model made its answers, or some of them; None where one made all."""
    had = run.had("model")
    if had == ("sandbox",):
        return f"Simulated: the sandbox made {whose}, no model did."
    if "sandbox" in had and any(call.status == "answered" and is_simulated(run, call) for call in run.calls):
        return f"Simulated in part: the sandbox made some of {whose}, no model did."
    return None


def model(run: Run, call: Call) -> str | None:
    """Whose answer it is, where the run's model does not say it: it had several, or this answer is of another."""
    named = call.model
    if named is None or (named == run.batch.model and len(run.had("model")) == 1):
        return None
    return "sandbox (simulated)" if named == "sandbox" else cut(named, 100)


def row_state(row: RunRow) -> str:
    """How the run stands, in a word or two."""
    if row.held:
        return HELD
    if row.state == "interrupted":
        return "Interrupted"
    if row.state != "ended":
        return _GOING.get(row.state, "Running")
    if row.stop_reason == "finished":
        return "Done" if row.answered == row.prompts else "Ended"
    return ENDED_WORDS.get(row.stop_reason or "", "Stopped")


def title(row: RunRow) -> str:
    """What the run is called: its name, else the first of its id's characters, as the command line takes them."""
    return cut(row.name, 200) if row.name else row.run_id[:8]


def counts(row: RunRow) -> str:
    """5 failed, 23 of 40 answered."""
    failed = f"{row.failed:,} failed, " if row.failed else ""
    return f"{failed}{row.answered:,} of {row.prompts:,} answered"


def facts(row: RunRow, *, zone: tzinfo | None) -> str:
    """All of it in one line, its time in this zone."""
    told = [when(row.opened_at, zone=zone), cut(row.model, 60), row_state(row), counts(row)]
    if row.imported:
        told.insert(0, IMPORTED)
    if row.wall_s is not None:
        told.append(f"{duration(row.wall_s)} at max_workers {row.max_workers}")
    return " · ".join(told)
