"""What stands beside a run's sentence: whose it is, where it comes from, what may be billed twice, what sends the rest.

Pure.

Comes in: a `Run`, its row, who looks. Goes out: plain text, in which names are others' words.
"""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.safe import cut
from fanout import billed
from fanout.people import Person, may_drive, may_start
from fanout.run import Run
from fanout.store.rows import RunRow

MOST_NAMED = 12
"""Prompts that are named by their number."""
MOST_NAME = 80
"""Characters of somebody's name."""


def whose(row: RunRow, person: Person) -> str | None:
    """Whose run somebody looks at, and what they may do with it; None where it is their own."""
    if row.owner_id == person.user_id:
        return None
    said = f"This run is {cut(row.owner_name, MOST_NAME)}'s"
    if may_drive(person, owner_id=row.owner_id):
        return f"{said}: as an admin you may do with it what its owner may."
    return f"{said}: you can look at it, and duplicate it." if may_start(person) else f"{said}: you can look at it."


def taken_in(row: RunRow) -> str | None:
    """That it is of a file, of which nobody here knows who wrote it; None where it was recorded here."""
    if not row.imported:
        return None
    return f"Taken in from a file by {cut(row.owner_name, MOST_NAME)}: what it says was not recorded here."


def billed_twice(run: Run) -> str | None:
    """The prompts that were sent and not waited for, and have no answer or were sent again since.

    Of a run that went on when it was saved to a file, whoever saved it goes on.
    """
    of_files = {stretch.number for stretch in run.stretches if stretch.reason == "saved"}
    lost = billed.lost(run)
    saved = tuple(call for call in lost if any(a.lost and a.stretch in of_files for a in run.calls[call].attempts))
    why = {
        "in flight when the process ended, so possibly billed twice.": tuple(
            call for call in lost if call not in saved
        ),
        "in flight when the file was saved; whoever saved it may have the answers by now.": saved,
        "hung up after being sent, so possibly billed, and twice once sent again.": billed.hung_up(run),
    }
    return " ".join(f"{_prompts(calls)}: {words}" for words, calls in why.items() if calls) or None


def rest_label(run: Run) -> str:
    """Of the button that sends what has no answer: it sends again only what was sent before."""
    rest = sum(call.status != "answered" for call in run.calls)
    if (name := rest_button(run)) != _UNSENT:
        return f"{name} {rest:,} unanswered"
    return f"Send the {rest:,} that {'was' if rest == 1 else 'were'} not sent"


def rest_button(run: Run) -> str:
    """That button as a sentence beside it calls it."""
    if run.stop_reason in ("interrupted", "saved"):
        return "Resume"
    was_sent = any(call.attempts for call in run.calls if call.status != "answered")
    return "Retry" if was_sent else _UNSENT


_UNSENT = "This button"


def _prompts(calls: Sequence[int]) -> str:
    named = ", ".join(str(call + 1) for call in calls[:MOST_NAMED])
    more = f" and {len(calls) - MOST_NAMED:,} more" if len(calls) > MOST_NAMED else ""
    return f"{'Prompt' if len(calls) == 1 else 'Prompts'} {named}{more}"
