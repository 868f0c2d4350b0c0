"""What an answer cost, by the list prices of genai-prices; None where they do not know the model.

Comes in: an answer with its tokens. Goes out: dollars. `response.cost()` takes 105 us a call, a tenth of the whole call
on the lean path; where the price is so much per token in and out, and the call was plain, it is asked once for a model
and then multiplied. Anything else (cached or audio tokens, tiers, prices by the hour, a service tier) is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from genai_prices.types import ModelPrice, PriceCalculation
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage

_PER_CALL = ("requests_kcount", "output_reasoning_mtok")
"""Prices that tokens in and out do not cover."""
_MILLION = Decimal(1_000_000)
MOST_TOKENS = 1_000_000_000
"""Of one answer; a hundred times what the longest prompts take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rate:
    """So much per million tokens, unless the answer's details match an exception."""

    input_usd: Decimal
    output_usd: Decimal
    exceptions: Sequence[Mapping[str, object]]


class Prices:
    """List prices of the models that one asker meets. Used on one thread."""

    def __init__(self) -> None:
        self._rates: dict[str, _Rate] = {}
        self._unknown: set[str | None] = set()

    def cost_usd(self, response: ModelResponse) -> float | None:
        """Dollars for `response`; None where its tokens or its model's price are unknown."""
        name = response.model_name
        if name is None or name in self._unknown or not counted(response.usage):
            return None
        rate = self._rates.get(name)
        if rate is not None and _plain(response.usage) and not _excepted(rate, response.provider_details or {}):
            usage = response.usage
            return float((usage.input_tokens * rate.input_usd + usage.output_tokens * rate.output_usd) / _MILLION)
        return self._asked(name, response)

    def _asked(self, name: str, response: ModelResponse) -> float | None:
        try:
            calculation = response.cost()
        except LookupError:
            self._unknown.add(name)
            return None
        except (ValueError, TypeError, ArithmeticError):  # token counts that contradict each other, or are none
            return None
        if name not in self._rates and (rate := _rate(calculation)) is not None:
            self._rates[name] = rate
        return float(calculation.total_price)


def counted(usage: RequestUsage) -> bool:
    """Whether the provider said how many tokens it took; pydantic-ai spells "it did not" as zeros.

    What no answer can have taken (NaN, fewer than none, a fraction, more than there are) is not said either.
    """
    taken, given = usage.input_tokens, usage.output_tokens
    return bool(taken or given) and all(type(each) is int and 0 <= each <= MOST_TOKENS for each in (taken, given))


def _rate(calculation: PriceCalculation) -> _Rate | None:
    prices = calculation.model.prices
    if not isinstance(prices, ModelPrice):  # they depend on the time of day
        return None
    given = {name: value for name, value in vars(prices).items() if value is not None}
    input_usd, output_usd = given.get("input_mtok"), given.get("output_mtok")
    if not isinstance(input_usd, Decimal) or not isinstance(output_usd, Decimal) or any(n in given for n in _PER_CALL):
        return None
    variants = calculation.model.price_variants or []
    # OpenAI's "default" tier is listed as a variant that changes nothing, and stands in every answer.
    deviating = tuple(one.when for one in variants if any(price is not None for price in vars(one.prices).values()))
    return _Rate(input_usd=input_usd, output_usd=output_usd, exceptions=deviating)


def _plain(usage: RequestUsage) -> bool:
    return not (
        usage.cache_read_tokens
        or usage.cache_write_tokens
        or usage.cache_write_1h_tokens
        or usage.input_audio_tokens
        or usage.cache_audio_read_tokens
        or usage.output_audio_tokens
        or usage.audio_seconds
    )


def _excepted(rate: _Rate, details: Mapping[str, object]) -> bool:
    return any(all(details.get(key) == value for key, value in when.items()) for when in rate.exceptions)
