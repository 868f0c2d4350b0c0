"""Whether the list prices of genai-prices have a model, before an answer has named it.

Comes in: a model string. Goes out: yes or no, by its name and its provider's. What an answer cost, `prices` counts.
"""

from __future__ import annotations

from genai_prices.data_snapshot import get_snapshot


def knows(model: str) -> bool:
    """Whether the lists have it; the sandbox and names without a provider they have not."""
    provider, _, name = model.partition(":")
    try:
        get_snapshot().find_provider_model(
            name.strip(), provider=None, provider_id=provider.strip() or None, provider_api_url=None
        )
    except LookupError:
        return False
    return True
