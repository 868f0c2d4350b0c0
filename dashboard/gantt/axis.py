"""The chart's time axis: seconds of work, the idle time between stretches taken out.

Comes in: a run's stretches. Goes out: seconds for any instant, and the places where idle time was cut out, to be
marked. So a bar's place on the axis counts what the wall time counts: stretches, not the time between them.
"""

from __future__ import annotations

from dataclasses import dataclass

from fanout.clock import seconds
from fanout.events import Purpose
from fanout.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Idle time of `idle_s` was cut out at `at_s`; then failed prompts were sent again, or the run was resumed."""

    at_s: float
    idle_s: float
    purpose: Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Where each stretch lies on the axis; stretch k begins where k - 1 ended."""

    began_ns: tuple[int, ...]
    lengths_ns: tuple[int | None, ...]
    """None for one that goes on."""
    offsets_ns: tuple[int, ...]

    def seconds_in(self, stretch: int, at_ns: int) -> float:
        """The place of an instant of that stretch. Stretches may stem from different clocks, so both are needed."""
        length_ns = self.lengths_ns[stretch]
        into_ns = max(0, at_ns - self.began_ns[stretch])
        return seconds(self.offsets_ns[stretch] + (into_ns if length_ns is None else min(into_ns, length_ns)))

    def seconds(self, at_ns: int) -> float:
        """The place of an instant: within idle time, that of the break; before the first stretch, 0."""
        for stretch in reversed(range(len(self.began_ns))):
            if at_ns >= self.began_ns[stretch]:
                return self.seconds_in(stretch, at_ns)
        return 0.0


def axis_of(run: Run) -> Axis:
    """The time axis of a run; empty before its first stretch."""
    lengths: list[int | None] = []
    offsets: list[int] = []
    offset_ns = 0
    for stretch in run.stretches:
        ended_ns = stretch.ended_ns
        last = stretch.number == len(run.stretches) - 1
        if ended_ns is None and not last:
            ended_ns = _latest_ns(run, stretch.number, stretch.began_ns)
        offsets.append(offset_ns)
        lengths.append(None if ended_ns is None else max(0, ended_ns - stretch.began_ns))
        offset_ns += lengths[-1] or 0
    began = tuple(stretch.began_ns for stretch in run.stretches)
    return Axis(began_ns=began, lengths_ns=tuple(lengths), offsets_ns=tuple(offsets))


def breaks_of(run: Run, axis: Axis) -> tuple[Break, ...]:
    """Where idle time was cut out, one per stretch after the first."""
    found = []
    for stretch in run.stretches[1:]:
        number = stretch.number
        ended_ns = axis.began_ns[number - 1] + (axis.lengths_ns[number - 1] or 0)
        found.append(
            Break(
                at_s=seconds(axis.offsets_ns[number]),
                idle_s=seconds(max(0, stretch.began_ns - ended_ns)),
                purpose=stretch.purpose,
            )
        )
    return tuple(found)


def _latest_ns(run: Run, stretch: int, began_ns: int) -> int:
    """The last stamp of a stretch that was cut off before it could say that it ended."""
    stamps = (
        stamp
        for call in run.calls
        for attempt in call.attempts
        if attempt.stretch == stretch
        for stamp in (attempt.started_ns, attempt.sent_ns, attempt.first_token_ns, attempt.ended_ns)
    )
    return max((stamp for stamp in stamps if stamp is not None), default=began_ns)
