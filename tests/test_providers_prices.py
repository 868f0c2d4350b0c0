"""The short way to a price gives what genai-prices gives."""

from __future__ import annotations

from typing import Any

import pytest
from genai_prices.types import PriceCalculation
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from fanout.providers.prices import Prices


def response(name: str | None, usage: RequestUsage, details: dict[str, Any] | None = None) -> ModelResponse:
    return ModelResponse(
        parts=[TextPart("yes")],
        usage=usage,
        model_name=name,
        provider_name="openai",
        provider_url="https://api.openai.com/v1/",
        provider_details=details,
    )


@pytest.mark.parametrize(
    "details", [None, {"service_tier": "default"}, {"service_tier": "priority"}, {"service_tier": "flex"}]
)
@pytest.mark.parametrize(
    "usage",
    [
        RequestUsage(input_tokens=1_000, output_tokens=7),
        RequestUsage(input_tokens=1, output_tokens=0),
        RequestUsage(input_tokens=900, cache_read_tokens=800, output_tokens=7),
        RequestUsage(input_tokens=10, output_tokens=90, details={"reasoning_tokens": 64}),
    ],
)
def test_the_rate_kept_gives_the_price_asked_for(usage: RequestUsage, details: dict[str, Any] | None) -> None:
    prices = Prices()
    assert prices.cost_usd(response("gpt-5-mini", RequestUsage(input_tokens=5, output_tokens=5))) is not None
    again = response("gpt-5-mini", usage, details)
    assert prices.cost_usd(again) == pytest.approx(float(again.cost().total_price), rel=1e-12)


def test_a_plain_price_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ModelResponse] = []
    real = ModelResponse.cost

    def counting(self: ModelResponse) -> PriceCalculation:
        asked.append(self)
        return real(self)

    monkeypatch.setattr(ModelResponse, "cost", counting)
    prices = Prices()
    for tokens in range(1, 6):
        usage = RequestUsage(input_tokens=tokens, output_tokens=tokens)
        prices.cost_usd(response("gpt-5-mini", usage, {"service_tier": "default"}))
    assert len(asked) == 1


def test_an_unknown_model_an_unnamed_one_and_uncounted_tokens_have_no_price() -> None:
    prices, usage = Prices(), RequestUsage(input_tokens=5, output_tokens=5)
    assert prices.cost_usd(response("nobody-sells-this", usage)) is None
    assert prices.cost_usd(response("nobody-sells-this", usage)) is None
    assert prices.cost_usd(response(None, usage)) is None
    assert prices.cost_usd(response("gpt-5-mini", RequestUsage())) is None
