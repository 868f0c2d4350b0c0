"""What the sandbox answers: something that makes sense for what was asked, the same every time.

Comes in: a prompt, its instructions and a seed. Goes out: the answer's text and its tokens. There is no model here, and
an answer that is not an echo, a label or a known fact says so.
"""

from __future__ import annotations

import re

from fanout.sandbox.draws import choice
from fanout.sandbox.facts import short_fact
from fanout.sandbox.labels import label_for

_TOKEN = re.compile(r"\s*\S{1,12}")
_ECHO = re.compile(r"^\s*(?:please\s+)?(?:reply|repeat|echo)\s*:\s*(?P<text>\S.*)$", re.IGNORECASE | re.DOTALL)
_ECHO_WITH = re.compile(
    r"\b(?:reply|respond|answer)\s+(?:(?:only|just|exactly)\s+)?with\s+(?:(?:only|just|exactly|the)\b\s*)*"
    r"(?:(?:word|text|phrase|letter|number)s?\b\s*)?:?\s*(?P<text>\S[^\n]*?)\s*[.]?\s*$",
    re.IGNORECASE,
)
_LONG = re.compile(
    r"\b(?:explain|write|describe|essay|story|poem|paragraphs?|summari[sz]e|compare|discuss|outline|draft|compose|"
    r"elaborate|detail|steps|walk me through|tell me about|pros and cons|how (?:do|does|to|would))\b",
    re.IGNORECASE,
)
_BRIEF = re.compile(r"\b(?:one|a single|1) (?:short )?(?:sentence|line|word)\b|\bbriefly\b|\bin short\b", re.IGNORECASE)
_IN_WORDS = re.compile(r"\b(?:in|about|around|at most|under|up to|of)?\s*(\d{1,4})[\s-]+words?\b", re.IGNORECASE)

_SENTENCES = (
    "A real model would weigh the question here; this text only takes up the time that an answer of this length takes.",
    "Its tokens arrive one after another, at the pace that the profile draws for this prompt.",
    "The same prompt with the same seed is answered with the same words, after the same wait.",
    "Nothing left this machine, no key was needed, and nothing was billed.",
    "Other prompts of the list are in flight at the same time, and none of them waits for this one.",
    "Longer answers hold their place among the calls in flight for longer, as this one does.",
    "With one worker the waits add up; with more of them they overlap, down to about the slowest.",
    "Choose a model with a key to read what it has to say on the matter.",
    "The number of words follows what was asked: a fact is short, an explanation is not.",
    "What you can measure here is the waiting, the quota and the order of arrival.",
)
_MAX_LONG_TOKENS = 150


def answer(prompt: str, *, instructions: str = "", seed: int = 1) -> str:
    """The answer's text, never empty."""
    echo = _ECHO.match(prompt)
    if echo is not None:
        return echo["text"].strip()
    label = label_for(prompt, instructions=instructions, seed=seed)
    if label is not None:
        return label
    asked_back = _ECHO_WITH.search(prompt[-400:])
    if asked_back is not None:
        return asked_back["text"].strip().strip("\"'“”") or asked_back["text"]
    return short_fact(prompt) or _simulated(prompt, seed)


def tokens(text: str) -> list[str]:
    """The text cut into the pieces that are counted and streamed; joined, they are the text again."""
    pieces = _TOKEN.findall(text)
    return pieces or [text]


_SENTENCE_TOKENS = tuple(tokens(" " + sentence) for sentence in _SENTENCES)


def estimated_tokens(text: str) -> int:
    """Tokens of a prompt, at the usual four characters each."""
    return len(text) // 4 + 1


def _simulated(prompt: str, seed: int) -> str:
    prompt = prompt[:2000]
    pieces = tokens(f"This is a simulated answer to “{_topic(prompt)}”: the sandbox has no model behind it.")
    wanted = max(len(pieces), _wanted_tokens(prompt, seed))
    order = seed + len(prompt)
    while len(pieces) < wanted:
        pieces += _SENTENCE_TOKENS[order % len(_SENTENCE_TOKENS)]
        order += 3  # coprime to ten: every sentence is used before one returns
    return "".join(pieces[:wanted])


def _wanted_tokens(prompt: str, seed: int) -> int:
    if (words := _IN_WORDS.search(prompt)) is not None:
        return min(_MAX_LONG_TOKENS, int(words[1]))
    if _BRIEF.search(prompt) or not _LONG.search(prompt):
        return 0
    return choice(seed, prompt, range(60, _MAX_LONG_TOKENS + 1))


def _topic(prompt: str) -> str:
    words = " ".join(prompt[:400].split())
    return words if len(words) <= 60 else words[:59].rsplit(" ", 1)[0].rstrip(",;:") + "…"
