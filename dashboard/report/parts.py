"""The parts of a report as HTML: settings, numbers, failures, answers.

Comes in: a `Run` and its words. Goes out: HTML in which every text of others' is escaped; no part needs a script. Long
lists are cut into groups that open one by one, so that ten thousand answers are no slower to open than a hundred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dashboard.figures import Figure
from dashboard.rows import model, origin
from dashboard.safe import html_escape
from dashboard.settings_words import setting_name, settings_of
from dashboard.tables import WORDS
from dashboard.units import UNKNOWN, count, counted, duration, money, unbroken
from fanout.clock import seconds
from fanout.errors import CallFailed
from fanout.letters import sendable
from fanout.run import Call, CallStatus, Run

GROUP = 100
"""Answers that open at once."""
LONG_CHARACTERS = 700
"""Above it a text is behind its beginning."""
SHOWN_CHARACTERS = 240
MOST_CAUSES = 50
MOST_PROMPTS = 20
"""Of one cause, named by their numbers."""
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "�")
"""HTML drops or forbids them; a reader is to see that something was there."""


def text(words: str) -> str:
    """A text of anybody's as HTML."""
    return html_escape(sendable(words).translate(_CONTROL))


def settings(run: Run) -> str:
    """What the run was asked to do; long instructions behind their beginning. Its name is the report's."""
    elsewhere = {setting_name("instructions"), setting_name("name")}
    told = [(name, value) for name, value in settings_of(run) if name not in elsewhere]
    items = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in told)
    asked = run.batch.instructions
    instructions = "" if asked is None else f"<h2>Instructions</h2>{_maybe_long(asked)}"
    return f"<dl>{items}</dl>{instructions}"


def numbers(figures: Iterable[Figure]) -> str:
    """Terms over their figures, with what there is to say of them."""
    return f'<dl class="figures">{"".join(map(_figure, figures))}</dl>'


def _figure(figure: Figure) -> str:
    why = "" if figure.why is None else f'<span class="why">{text(figure.why)}</span>'
    return f"<div><dt>{text(figure.term)}</dt><dd>{text(unbroken(figure.value))}{why}</dd></div>"


def failures(run: Run) -> str:
    """What calls failed of, the most frequent first; empty where none did."""
    causes: dict[CallFailed, list[Call]] = {}
    for call in run.calls:
        if call.error is not None:
            causes.setdefault(call.error, []).append(call)
    if not causes:
        return ""
    ordered = sorted(causes.items(), key=lambda cause: -len(cause[1]))
    rows = "".join(_cause(error, calls) for error, calls in ordered[:MOST_CAUSES])
    more = len(ordered) - MOST_CAUSES
    rest = f'<p class="quiet">And {counted(more, "further cause")}: see the answers.</p>' if more > 0 else ""
    heads = _heads(("Calls", "What happened", "The provider's words", "Prompts"))
    return f'<table class="causes"><thead>{heads}</thead><tbody>{rows}</tbody></table>{rest}'


def _cause(error: CallFailed, calls: Sequence[Call]) -> str:
    links = ", ".join(f'<a href="#p{call.index + 1}">{call.index + 1}</a>' for call in calls[:MOST_PROMPTS])
    more = f" and {len(calls) - MOST_PROMPTS:,} more" if len(calls) > MOST_PROMPTS else ""
    words = UNKNOWN if not error.provider_words else _maybe_long(error.provider_words)
    return (
        f'<tr><td data-name="calls">{len(calls):,}</td><td class="alarm" dir="auto">{text(error.sentence)}</td>'
        f'<td>{words}</td><td data-name="prompts">{links}{more}</td></tr>'
    )


def answers(run: Run) -> str:
    """Every prompt with its answer or its failure, in input order, in groups that open."""
    groups = [run.calls[begin : begin + GROUP] for begin in range(0, len(run.calls), GROUP)]
    return "".join(_group(run, calls, is_open=len(groups) == 1) for calls in groups)


def _group(run: Run, calls: Sequence[Call], *, is_open: bool) -> str:
    first, last = calls[0].index + 1, calls[-1].index + 1
    counts = Counter(_STANDS.get(call.status, "not answered") for call in calls if call.status != "answered")
    note = "".join(
        f", {counts[words]:,} {words}" for words in ("not answered", "in flight", "waiting") if counts[words]
    )
    name = f"Prompt {first:,}" if first == last else f"Prompts {first:,} to {last:,}"
    heads = _heads(("#", "Status", "Prompt", "Answer", "Latency", "First token", "Attempts", "Tokens", "Cost"))
    body = "".join(_row(run, call) for call in calls)
    return (
        f"<details{' open' if is_open else ''}><summary>{name}{note}</summary>"
        f'<table class="answers"><thead>{heads}</thead><tbody>{body}</tbody></table></details>'
    )


_STANDS: dict[CallStatus, str] = {"running": "in flight", "queued": "waiting", "backing_off": "waiting"}
"""Of a run that goes on: what may be answered yet."""


def _row(run: Run, call: Call) -> str:
    tokens = f"{count(call.usage.input_tokens)} in, {count(call.usage.output_tokens)} out"
    facts = (
        ("latency", _duration(call.latency_ns)),
        ("first token", _duration(call.first_token_ns)),
        ("attempts", count(len(call.attempts))),
        ("tokens", UNKNOWN if call.usage.input_tokens is None and call.usage.output_tokens is None else tokens),
        ("cost", money(call.cost_usd)),
    )
    cells = "".join(f'<td class="n" data-name="{name}">{value}</td>' for name, value in facts)
    status = f"{WORDS[call.fate]}{_whose(run, call)}"
    return (
        f'<tr id="p{call.index + 1}"><td data-name="#">{call.index + 1}</td><td>{status}</td>'
        f"<td>{_maybe_long(call.prompt)}</td><td>{_outcome(call)}</td>{cells}</tr>"
    )


def _whose(run: Run, call: Call) -> str:
    """Whose answer it has, and which of several models it is of."""
    taken, named = origin(call, run_id=run.run_id), model(run, call)
    said = [] if taken is None else [taken]
    said += [] if named is None else [f"by {named}"]
    return "".join(f'<span class="why">{text(each)}</span>' for each in said)


def _outcome(call: Call) -> str:
    if call.status == "answered":
        return _maybe_long(call.output or "")
    if call.error is None:
        return UNKNOWN
    words = "" if not call.error.provider_words else _maybe_long(call.error.provider_words)
    return f'<div class="alarm" dir="auto">{text(call.error.sentence)}</div>{words}'


def _maybe_long(words: str) -> str:
    """A text as it is, line breaks and all; its direction is its own, so that none turns its neighbours round."""
    whole = f'<div class="text" dir="auto">{text(words)}</div>'
    if len(words) <= LONG_CHARACTERS:
        return whole
    begin = " ".join(words[: 2 * SHOWN_CHARACTERS].split())[:SHOWN_CHARACTERS]
    return f'<details><summary dir="auto">{text(begin)}… ({len(words):,} characters)</summary>{whole}</details>'


def _heads(names: Iterable[str]) -> str:
    return f"<tr>{''.join(_head(name) for name in names)}</tr>"


def _head(name: str) -> str:
    return f'<th scope="col"{" class=n" if name in _NUMBERS else ""}>{name}</th>'


_NUMBERS = frozenset({"Latency", "First token", "Attempts", "Tokens", "Cost"})


def _duration(duration_ns: int | None) -> str:
    return duration(None if duration_ns is None else seconds(duration_ns))


def links(names: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Links within the page, for (id, name)."""
    for place, name in names:
        yield f'<a href="#{place}">{name}</a>'
