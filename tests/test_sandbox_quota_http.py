"""The sandbox's quota modes over real HTTP: what a client meets, by the page's and the command line's settings."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openai
import pytest
from streamlit.testing.v1 import AppTest

from fanout.sandbox.process import SandboxProcess
from fanout.sandbox.profile import SandboxProfile

ROOT = Path(__file__).resolve().parents[1]
QUICK: Mapping[str, Any] = {"first_token_ms": 0, "token_ms": 0}
EXPLAIN = "Explain how a lighthouse works"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(environ={}) as process:
        yield process


class Client:
    """Asks by the real SDK, which retries nothing here."""

    def __init__(self, sandbox: SandboxProcess, **profile: Any) -> None:
        self.profile = SandboxProfile(**{**QUICK, **profile})
        self._stats = f"{sandbox.url}/{self.profile.encoded()}/stats"
        self.url = sandbox.base_url(self.profile)
        self._client = openai.OpenAI(base_url=self.url, api_key="k", max_retries=0, timeout=30)

    def headers(self, text: str = "Reply: alpha", **asked: Any) -> Mapping[str, str]:
        """The headers of an answer."""
        said = self._client.chat.completions.with_raw_response.create(
            model="m", messages=[{"role": "user", "content": text}], **asked
        )
        return dict(said.headers)

    def refused(self, text: str = "Reply: alpha", **asked: Any) -> openai.RateLimitError:
        """The 429 that it must be."""
        with pytest.raises(openai.RateLimitError) as refused:
            self.headers(text, **asked)
        return refused.value

    def stats(self) -> dict[str, int]:
        """What the server counted of this profile."""
        with urllib.request.urlopen(self._stats, timeout=30) as said:
            counts: dict[str, int] = json.loads(said.read())
        return counts

    def until(self, name: str, count: int) -> None:
        """Wait until the server has counted this; pytest's own timeout ends a wait that never will."""
        while self.stats()[name] != count:
            threading.Event().wait(0.01)


def _about_quota(headers: Mapping[str, str]) -> list[str]:
    return [name for name in headers if "ratelimit" in name or "retry" in name]


def test_a_burst_passes_and_the_next_call_is_told_the_rate(sandbox: SandboxProcess) -> None:
    client = Client(sandbox, requests_per_minute=2, burst=3)
    assert [client.headers()["x-ratelimit-remaining-requests"] for _ in range(3)] == ["2", "1", "0"]
    refused = client.refused()
    assert refused.response.headers["x-ratelimit-limit-requests"] == "2"
    assert 0 < int(refused.response.headers["retry-after-ms"]) <= 30_000
    assert "on requests per min (RPM): Limit 2, Used 3, Requested 1." in str(refused)


def test_a_token_burst_bounds_one_call(sandbox: SandboxProcess) -> None:
    refused = Client(sandbox, tokens_per_minute=1_000_000, token_burst=20).refused(EXPLAIN)
    assert "tokens per min (TPM): Limit 1000000" in str(refused)
    assert "No more than 20 tokens are given at once." in str(refused)
    assert refused.response.headers["x-should-retry"] == "false"


def test_a_days_limit_is_named_when_it_is_used_up(sandbox: SandboxProcess) -> None:
    client = Client(sandbox, requests_per_day=1)
    assert _about_quota(client.headers()) == []
    refused = client.refused()
    assert (refused.code, refused.type) == ("rate_limit_exceeded", "requests")
    assert "requests per day (RPD): Limit 1, Used 1, Requested 1. Please try again in 23h59m" in str(refused)
    assert int(refused.response.headers["retry-after"]) > 86_000


def test_with_headers_off_neither_an_answer_nor_a_refusal_tells_of_the_quota(sandbox: SandboxProcess) -> None:
    client = Client(sandbox, requests_per_minute=1, tokens_per_minute=1000, headers=False)
    assert _about_quota(client.headers()) == []
    refused = client.refused()
    assert _about_quota(refused.response.headers) == []
    assert str(refused).endswith("on requests per min (RPM).")  # its name, and no number
    assert _about_quota(client.refused(EXPLAIN * 1000).response.headers) == []


def test_a_hard_window_tells_its_end(sandbox: SandboxProcess) -> None:
    client = Client(sandbox, requests_per_minute=60, tokens_per_minute=6000, hard_window=True)
    told = client.headers()
    for resource in ("requests", "tokens"):
        assert told[f"x-ratelimit-reset-{resource}"].startswith(("59.", "1m0s"))


def test_a_rejected_call_burns_a_request(sandbox: SandboxProcess) -> None:
    client = Client(sandbox, requests_per_minute=10, tokens_per_minute=50, hard_window=True, rejected_burn=True)
    client.headers()
    left = [client.refused(EXPLAIN).response.headers["x-ratelimit-remaining-requests"] for _ in range(2)]
    assert left == ["8", "7"]
    assert client.headers()["x-ratelimit-remaining-requests"] == "6"


def test_another_users_share_is_gone_from_what_remains(sandbox: SandboxProcess) -> None:
    told = Client(sandbox, requests_per_minute=100, other_user_share=0.4, hard_window=True).headers()
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("100", "59")
    slow = Client(sandbox, requests_per_minute=1, other_user_share=0.5)
    slow.headers()
    assert 60_000 < int(slow.refused().response.headers["retry-after-ms"]) <= 120_000


@pytest.mark.parametrize("stream", [False, True])
def test_above_the_calls_in_flight_a_further_one_is_refused_until_one_ends(
    sandbox: SandboxProcess, stream: bool
) -> None:
    hanging = Client(sandbox, max_in_flight=2, hang_rate=1, seed=60 + stream)

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=hanging.url, api_key="k", max_retries=0) as client:
            ask = client.chat.completions.create
            calls = [
                asyncio.ensure_future(ask(model="m", messages=[{"role": "user", "content": "hi"}], stream=stream))
                for _ in range(2)
            ]
            await asyncio.to_thread(hanging.until, "in_flight", 2)
            refused = await asyncio.to_thread(hanging.refused)
            assert refused.type == "concurrency"
            assert "concurrent requests (concurrency): Limit 2, Used 2" in str(refused)
            assert "retry-after" not in refused.response.headers
            calls[0].cancel()
            await asyncio.to_thread(hanging.until, "hung_up", 1)
            calls.append(
                asyncio.ensure_future(ask(model="m", messages=[{"role": "user", "content": "hi"}], stream=stream))
            )
            await asyncio.to_thread(hanging.until, "in_flight", 2)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(run())
    hanging.until("hung_up", 3)
    assert (hanging.stats()["refused"], hanging.stats()["peak_in_flight"]) == (1, 2)


@pytest.mark.parametrize("fault", ["error_rate", "truncation_rate"])
def test_a_call_that_goes_wrong_gives_its_place_back(sandbox: SandboxProcess, fault: str) -> None:
    client = Client(sandbox, max_in_flight=1, **{fault: 1})
    for _ in range(3):
        with pytest.raises((openai.InternalServerError, openai.APIConnectionError)):
            client.headers()
        client.until("in_flight", 0)
    assert client.stats()["refused"] == 0


def test_the_longest_answer_asked_for_is_charged_and_otherwise_the_answers_own(sandbox: SandboxProcess) -> None:
    settings = {"tokens_per_minute": 1000, "hard_window": True}
    by_most, by_answer = Client(sandbox, charge_max_tokens=True, **settings), Client(sandbox, **settings)
    own = 1000 - int(by_answer.headers(max_completion_tokens=500)["x-ratelimit-remaining-tokens"])
    assert own < 20
    assert by_most.headers()["x-ratelimit-remaining-tokens"] == str(1000 - own)
    left = 1000 - own - (own - 1 + 500)  # the answer is one token, the prompt the rest
    assert by_most.headers(max_completion_tokens=500)["x-ratelimit-remaining-tokens"] == str(left)
    assert "Request too large" in str(by_most.refused(max_completion_tokens=5000))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def test_the_command_line_sets_every_mode() -> None:
    numbers = {"burst": 2, "token_burst": 30, "max_in_flight": 4, "other_user_share": 0.25}
    arguments = [word for name, value in numbers.items() for word in (_option(name), str(value))]
    modes = ["--headers-off", "--rejected-burn", "--charge-max-tokens"]
    profile = SandboxProfile(
        requests_per_minute=60,
        tokens_per_minute=600,
        requests_per_day=9,
        headers=False,
        rejected_burn=True,
        charge_max_tokens=True,
        **numbers,  # type: ignore[arg-type]
    )
    assert _served("--rpm", "60", "--tpm", "600", "--rpd", "9", *arguments, *modes) == profile
    assert _served("--rpm", "60", "--hard-window") == SandboxProfile(requests_per_minute=60, hard_window=True)
    assert _served() == SandboxProfile()


def _served(*arguments: str) -> SandboxProfile:
    """The profile that a sandbox says it has when it is started like this."""
    command = [sys.executable, "-m", "fanout", "sandbox", "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr as said:
        url = said.readline().split()[4].removesuffix("/v1")
        with urllib.request.urlopen(f"{url}/health", timeout=30) as health:
            profile = SandboxProfile.decode(json.loads(health.read())["profile"])
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    return profile


# The page


def _form() -> AppTest:
    def page() -> None:
        import streamlit as st

        from dashboard import session
        from dashboard.sandbox_form import draw_sandbox

        draw_sandbox()
        st.session_state["shown"] = session.profile()

    return AppTest.from_function(page, default_timeout=30).run()


def _apply(form: AppTest) -> Any:
    """The profile that this session holds after Apply."""
    next(button for button in form.button if button.label == "Apply").click()
    form.run()
    assert not form.exception
    return form.session_state["shown"]


def test_the_page_sets_every_mode() -> None:
    form = _form()
    for key, number in {
        "sandbox_requests_per_minute": 600,
        "sandbox_tokens_per_minute": 9000,
        "sandbox_burst": 20,
        "sandbox_token_burst": 900,
        "sandbox_requests_per_day": 5000,
        "sandbox_max_in_flight": 8,
        "sandbox_other_user_share": 30.0,
    }.items():
        form.number_input(key=f"{key}_0").set_value(number)
    for label in ("Headers off", "Rejected calls burn quota", "Charge the longest answer asked for"):
        next(box for box in form.checkbox if box.label == label).check()
    assert _apply(form) == SandboxProfile(
        requests_per_minute=600,
        tokens_per_minute=9000,
        burst=20,
        token_burst=900,
        requests_per_day=5000,
        max_in_flight=8,
        other_user_share=0.3,
        headers=False,
        rejected_burn=True,
        charge_max_tokens=True,
    )


def test_the_page_says_what_cannot_go_together_and_keeps_what_was() -> None:
    form = _form()
    form.number_input(key="sandbox_requests_per_minute_0").set_value(600)
    form.number_input(key="sandbox_burst_0").set_value(20)
    next(box for box in form.checkbox if box.label == "Hard window").check()
    assert _apply(form) == SandboxProfile()
    assert any("not with a hard window" in element.proto.body for element in form.get("html"))


def test_a_page_that_is_applied_untouched_changes_nothing() -> None:
    assert _apply(_form()) == SandboxProfile()
