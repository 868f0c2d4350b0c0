"""How each provider limits: what it counts, what it takes off for an answer, whether its responses tell. No numbers.

Comes in: a provider's name as a model string spells it. Goes out: a `Preset`, or None, which is honest: nothing is
known, and the limits are learnt. How much an account may use depends on its tier, so a number comes from the run, from
`fanout.toml`, from a response or from 429s, never from here. Every preset names the documents that it was read from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fanout.events import LimitName
from fanout.quota.limits import Charge

BY_THE_SECOND_S = 1.0
"""The burst where the documents say that a minute's limit may be enforced over a second."""
BY_THE_MINUTE_S = 6.0
"""The burst where they say nothing shorter than a minute: a tenth of it, so that no minute is over by more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What a provider's documents say of its limits."""

    provider: str
    """As a model string spells it."""
    title: str
    """As people spell it."""
    charge: Charge
    burst_s: float
    """Seconds' worth of requests that may start at one instant, where nobody set a burst."""
    counts: tuple[LimitName, ...]
    """The limits that it enforces; an account need not have them all."""
    headers: bool
    """Whether responses that succeeded tell of the limits."""
    day_zone: str = "UTC"
    """The time zone whose midnight ends a day's limits; UTC also where the documents do not say."""
    note: str
    """What else one must know, in sentences."""
    sources: tuple[str, ...]
    """Where it is written."""


def preset_for(provider: str) -> Preset | None:
    """What is known of this provider; None: unknown, its limits are learnt.

    >>> preset_for("openai-responses").title
    'OpenAI'
    """
    name = provider.removeprefix("gateway/")
    return _BY_NAME.get(_SPELLED.get(name, name))


PRESETS: tuple[Preset, ...] = (
    Preset(
        provider="openai",
        title="OpenAI",
        charge="max_tokens",
        burst_s=BY_THE_SECOND_S,
        counts=("requests", "tokens", "requests_per_day", "tokens_per_day"),
        headers=True,
        note=(
            "Takes the larger of max_tokens and an estimate by characters, when the request arrives. "
            "Requests that fail count too. Some models share one limit; a project may have less than its organisation."
        ),
        sources=(
            "https://developers.openai.com/api/docs/guides/rate-limits",
            "https://cookbook.openai.com/examples/how_to_handle_rate_limits",
        ),
    ),
    Preset(
        provider="anthropic",
        title="Anthropic",
        charge="used",
        burst_s=BY_THE_SECOND_S,
        counts=("requests", "input_tokens", "output_tokens"),
        headers=True,
        note=(
            "Input is estimated at the start and corrected later, output counts as it is produced; max_tokens does "
            "not, nor does cached input. Sharp rises of traffic are refused too. What is left of tokens is told in "
            "thousands."
        ),
        sources=(
            "https://platform.claude.com/docs/en/api/rate-limits",
            "https://platform.claude.com/docs/en/api/errors",
        ),
    ),
    Preset(
        provider="google",
        title="Gemini API",
        charge="used",
        burst_s=BY_THE_MINUTE_S,
        counts=("requests", "input_tokens", "requests_per_day"),
        headers=False,
        day_zone="America/Los_Angeles",
        note=(
            "Counts input tokens only, for each project. A 429 names the limit that is used up. The day ends at "
            "midnight Pacific time."
        ),
        sources=("https://ai.google.dev/gemini-api/docs/rate-limits",),
    ),
    Preset(
        provider="azure",
        title="Azure OpenAI",
        charge="max_tokens",
        burst_s=BY_THE_SECOND_S,
        counts=("requests", "tokens"),
        headers=True,
        note=(
            "Limits belong to a deployment. Requests are judged over 1 or 10 seconds; tokens by prompt and "
            "max_tokens when the request arrives, not by what is billed."
        ),
        sources=(
            "https://learn.microsoft.com/en-us/azure/ai-services/openai/how-to/quota",
            "https://learn.microsoft.com/en-us/answers/questions/1336515/how-do-azure-openai-rate-limits-work",
        ),
    ),
    Preset(
        provider="mistral",
        title="Mistral",
        charge="used",
        burst_s=BY_THE_SECOND_S,
        counts=("requests", "tokens"),
        headers=True,
        note=(
            "Requests are limited by the second, tokens (input and output) by the minute and the month. Its documents "
            "promise no headers; responses have been seen to carry them."
        ),
        sources=("https://docs.mistral.ai/deployment/ai-studio/tier",),
    ),
    Preset(
        provider="groq",
        title="Groq",
        charge="used",
        burst_s=BY_THE_MINUTE_S,
        counts=("requests", "tokens", "input_tokens", "output_tokens", "requests_per_day", "tokens_per_day"),
        headers=True,
        note="Its headers tell the requests of the day and the tokens of the minute. Limits belong to an organisation.",
        sources=("https://console.groq.com/docs/rate-limits",),
    ),
    Preset(
        provider="cerebras",
        title="Cerebras",
        charge="max_tokens",
        burst_s=BY_THE_MINUTE_S,
        counts=("requests", "tokens", "requests_per_day", "tokens_per_day"),
        headers=True,
        note=(
            "Takes input and max_completion_tokens when the request arrives. Its headers tell the requests of the day "
            "and the tokens of the minute. It has limits of an hour too, which are met as 429s."
        ),
        sources=("https://inference-docs.cerebras.ai/support/rate-limits",),
    ),
    Preset(
        provider="bedrock",
        title="Amazon Bedrock",
        charge="max_tokens",
        burst_s=BY_THE_MINUTE_S,
        counts=("requests", "tokens", "tokens_per_day"),
        headers=False,
        note=(
            "Reserves input and max_tokens at the start (the model's own maximum where none is set) and settles at the "
            "end. Limits belong to a model and a region."
        ),
        sources=(
            "https://docs.aws.amazon.com/bedrock/latest/userguide/quotas.html",
            "https://raw.githubusercontent.com/aws/agent-toolkit-for-aws/main/skills/core-skills/amazon-bedrock/"
            "references/quota-health.md",
        ),
    ),
)
"""Each provider whose documents were read, once."""

_BY_NAME: Mapping[str, Preset] = {preset.provider: preset for preset in PRESETS}
_SPELLED: Mapping[str, str] = {"openai-chat": "openai", "openai-responses": "openai"}
"""Other spellings of a provider. Not google-cloud: Vertex shares its capacity by other rules."""
