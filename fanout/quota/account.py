"""Whose quota a run uses: a provider's account and a model of it, as one value.

Comes in: nothing; `fanout.providers.account` makes it of a model string and the environment. Equal accounts share
limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What shares one quota: equal accounts do. It names no key, at most a short fingerprint of one."""

    account: str
    """For showing: the provider's host, and a fingerprint of the key where there is one."""
    model: str
    provider: str
    """Who speaks, as its documents know it: openai, anthropic, google, groq, cerebras, mistral, azure; `compatible` for
    a server that is none of these and speaks OpenAI's API; else the model string's prefix."""
    title: str | None = field(default=None, compare=False)
    """What it is, where its model's name does not say it: `sandbox, 120 RPM`."""

    @property
    def is_local(self) -> bool:
        """Whether a program of this machine answers: its limits, if it has any, are as young as it is."""
        host = self.account.split(" ", 1)[0].rsplit(":", 1)[0].strip("[]")
        return self.provider == "sandbox" or host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")
