"""A classification's labels, found in its prompt or instructions, and the one that fits.

Comes in: the prompt, the instructions and a seed. Goes out: one of the labels exactly as they were written, or None
where nothing asks for a classification. A small lexicon stands in for judgement; where that has no opinion, the seed
decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fanout.sandbox.draws import choice

_LABEL = r"[\"'“‘]?[^\W_][\w’'-]*(?:[ /-][\w’'-]+){0,3}?[\"'”’]?"
_LIST = rf"[\[({{]?\s*{_LABEL}(?:\s*(?:,|;|\||/|\bor\b|\band\b)+\s*(?:or\s+|and\s+)?{_LABEL})+\s*[\])}}]?"
_END = r"(?=\s*(?:[:.?!\n]|$|[-—–]\s))"
_ASKED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:labels?|categor(?:y|ies)|class(?:es)?|options?|choices?)\s*(?:are|is)?\s*[:=]\s*(?P<list>{_LIST}){_END}",
        rf"\b(?:one|exactly one|only one) of(?: (?:these|the following)(?: \w+)?)?\s*:?\s*(?P<list>{_LIST}){_END}",
        rf"\b(?:choose|pick|select)(?: (?:from|between|among))?\s*:?\s*(?P<list>{_LIST}){_END}",
        rf"\b(?:classify|classified|label|categori[sz]e|tag|sort|rate|mark|judge|route|triage)\b[^:\n?]{{0,120}}?"
        rf"\b(?:as|into|by|to|under)\s*:?\s*(?:either\s+|one of\s+)?(?P<list>{_LIST}){_END}",
        rf"\b(?:sentiment|intent|topic|tone|priority|urgency|language)\s*\(\s*(?P<list>{_LIST})",
        rf"\b(?:answer|reply|respond|say)(?: only| just)?(?: with)?(?: one word)?\s*:?\s*(?:either\s+)?"
        rf"(?P<list>{_LABEL}(?:\s*(?:,|\||/|\bor\b)+\s*(?:or\s+)?{_LABEL})+){_END}",
        r"(?P<list>\b(?:yes|true|agree|spam)\s*(?:/|\||,|or)\s*(?:no|false|disagree|ham)\b)",
        r"\b(?:is|are|was|does|do)\b[^?\n]{0,200}?\b(?P<list>[a-z][\w-]*(?:,\s*[a-z][\w-]*)*,?\s+or\s+(?:not\s+)?[a-z][\w-]*)\s*\?",
    )
)
_SPLIT = re.compile(r"\s*(?:,|;|\||/|\bor\b|\band\b)\s*", re.IGNORECASE)
_NEGATION = re.compile(
    r"\b(?:not|no|never|hardly|isn't|wasn't|don't|didn't|doesn't|won't|can't|without)\s+(?:\w+\s+)?$"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_POSITIVE = _words(
    "adore amazing awesome beautiful best brilliant charming comfortable delicious delight delighted "
    "delightful easy enjoy enjoyed excellent exceeded fantastic fast favourite favorite flawless friendly fun "
    "glad good great happy helpful impressed impressive incredible kind love loved lovely outstanding perfect "
    "perfectly pleasant pleased polite prompt recommend reliable satisfied smooth stunning super superb "
    "terrific thank thanks thrilled top warm wonderful works "
)
_NEGATIVE = _words(
    "angry annoying awful bad boring broke broken cancelled cheap complaint cold confusing crash crashed "
    "crashes damaged delayed dirty disappointed disappointing disappointment disgusting dreadful dull error "
    "expensive fail failed fails faulty frustrated frustrating garbage hate hated horrible ignored late leaked "
    "leaking lost mediocre missing nightmare noisy overpriced pathetic poor poorly refund regret rude ruined "
    "scratched slow stopped terrible tired ugly unacceptable unhappy unhelpful unusable upset useless waste "
    "wasted weak worse worst wrong "
)
_SPAM = re.compile(
    r"\b(?:win|winner|won|prize|free|click|claim|urgent|offer|congratulations|lottery|cash|credit card|limited time|"
    r"act now|viagra|casino|bitcoin|gift card|selected|guaranteed)\b|\$\d|!!|https?://",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    labels: tuple[str, ...]
    subject: str
    """What is to be classified: the prompt without its list of labels."""


def label_for(prompt: str, *, instructions: str, seed: int) -> str | None:
    """One of the labels that the prompt, or else the instructions, ask for; None where they ask for none."""
    read = _ends(prompt)
    asked = _find(read)
    if asked is None:
        listed = _find(_ends(instructions))
        if listed is None:
            return None
        asked = _Asked(labels=listed.labels, subject=read)
    fitting = _fitting(asked)
    return fitting if fitting is not None else choice(seed, prompt, asked.labels)


def _ends(text: str) -> str:
    """Where a list of labels stands: near the start or the end. A document between them is not searched."""
    return text if len(text) <= 4000 else f"{text[:2000]}\n{text[-2000:]}"


def _find(text: str) -> _Asked | None:
    for pattern in _ASKED:
        found = pattern.search(text)
        if found is None:
            continue
        labels = _split(found["list"])
        if len(labels) >= 2:
            return _Asked(labels=labels, subject=text[: found.start()] + " " + text[found.end() :])
    return None


def _split(listed: str) -> tuple[str, ...]:
    bare = (part.strip(" \t\"'“”‘’[](){}.") for part in _SPLIT.split(listed))
    labels = tuple(dict.fromkeys(part for part in bare if part))
    return labels if all(len(label) <= 40 for label in labels) else ()


def _fitting(asked: _Asked) -> str | None:
    """The label that the lexicon or the text itself points to; None where neither does."""
    named = {label.lower(): label for label in asked.labels}
    if "positive" in named and "negative" in named:
        return _sentiment(asked.subject, named)
    if "spam" in named:
        others = [label for label in asked.labels if label.lower() != "spam"]
        return named["spam"] if _SPAM.search(asked.subject) else others[0]
    words = set(re.findall(r"[\w'-]+", asked.subject.lower()))
    return next((label for label in asked.labels if label.lower() in words), None)


def _sentiment(subject: str, named: dict[str, str]) -> str | None:
    score = _score(subject.lower())
    if score:
        return named["positive"] if score > 0 else named["negative"]
    return named.get("neutral", named.get("mixed"))


def _score(text: str) -> int:
    score = 0
    for word in re.finditer(r"[\w']+", text):
        worth = (word[0] in _POSITIVE) - (word[0] in _NEGATIVE)
        if worth:
            score += -worth if _NEGATION.search(text[max(0, word.start() - 24) : word.start()]) else worth
    return score
