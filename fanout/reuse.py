"""Answers that are there already: what a batch can take from runs before it instead of sending. Pure.

Prompts are matched by their text alone, never by their place: an edited, reordered or longer list finds what it had.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from fanout.batch import Batch
from fanout.clock import seconds
from fanout.run import Call, Origin, Run
from fanout.stretch import Known


def carried(run: Run, batch: Batch) -> dict[int, Known]:
    """For each prompt of `batch` the answer that `run` gave to it.

    Identical prompts take theirs one each, in order; where the batch sends them once, the last one is for the rest too.
    """
    answers: dict[str, deque[Call]] = defaultdict(deque)
    for call in run.calls:
        if call.status == "answered":
            answers[call.prompt].append(call)
    taken: dict[int, Known] = {}
    for place, prompt in enumerate(batch.prompts):
        left = answers.get(prompt)
        if left:
            taken[place] = _known(run, left[0] if batch.identical_once and len(left) == 1 else left.popleft())
    return taken


def answers_for(prompts: Mapping[int, str], run: Run, *, server: str | None) -> dict[int, Known]:
    """For each of the prompts that `run` sent and got answered, its last answer; identical ones all take it.

    `server`: where they would be sent now. Another one's answers are another model's, whatever its name there.
    """
    if None not in (server, run.server) and server != run.server:
        return {}
    answers = {call.prompt: call for call in run.calls if call.status == "answered" and call.origin is None}
    return {place: _known(run, answers[prompt]) for place, prompt in prompts.items() if prompt in answers}


def _known(run: Run, call: Call) -> Known:
    """The answer, under the name of the run in which it was asked for."""
    at_s = run.opened_at_s + seconds(call.ended_ns[-1] - run.opened_ns)
    own = Origin(run_id=run.run_id, call=call.index, answered_at_s=at_s, model=call.model)
    return Known(output=call.output or "", origin=call.origin or own)
