"""Bad batches are refused with a sentence; good ones are frozen and survive JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.sandbox.profile import SandboxProfile

NAN = float("nan")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"prompts": []}, "there are no prompts"),
        ({"prompts": "one text"}, "must be a list of texts, got str"),
        ({"prompts": ["a", 3]}, "prompt 2 must be text, got int"),
        ({"prompts": ["a", "  \n"]}, "prompt 2 is blank"),
        ({"model": " "}, "model must be"),
        ({"model": None}, "model must be"),
        ({"max_workers": 0}, "max_workers must be from 1 to 512, got 0"),
        ({"max_workers": 10_000_000}, "max_workers must be from 1 to 512, got 10000000"),
        ({"max_workers": True}, "max_workers must be a whole number"),
        ({"timeout_s": -1}, "timeout_s must be a number above 0"),
        ({"timeout_s": 0}, "timeout_s must be a number above 0"),
        ({"timeout_s": NAN}, "timeout_s must be a number above 0"),
        ({"timeout_s": 1e9}, "timeout_s must be a number above 0 and at most 3600"),
        ({"retries": -1}, "retries must be from 0 to 20, got -1"),
        ({"retries": 1.5}, "retries must be a whole number"),
        ({"temperature": NAN}, "temperature must be a number from 0 to 2"),
        ({"temperature": 3}, "temperature must be a number from 0 to 2, got 3"),
        ({"max_output_tokens": 0}, "max_output_tokens must be from 1"),
        ({"stream": "yes"}, "stream must be True, False or None"),
        ({"instructions": 7}, "instructions must be text"),
        ({"sandbox": {}}, "sandbox must be a SandboxProfile"),
        ({"model": "openai:x", "sandbox": SandboxProfile()}, "goes with the model 'sandbox' only"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_sentence(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Batch(**{"prompts": ["a"], **settings})


def test_a_batch_survives_json() -> None:
    batch = Batch(
        prompts=["a", "日本", "\u202eعربي"],
        instructions="be brief",
        temperature=0.5,
        name="n",
        sandbox=SandboxProfile(seed=3, requests_per_minute=60),
    )
    assert Batch.from_json(json.loads(json.dumps(batch.as_json()))) == batch
    assert Batch.from_json(Batch(prompts=["a"]).as_json()) == Batch(prompts=["a"])


def test_prompts_are_frozen_and_what_cannot_be_sent_is_replaced() -> None:
    prompts = ["a", "half \ud800 pair"]
    batch = Batch(prompts=prompts)
    prompts.append("later")
    assert batch.prompts == ("a", "half \ufffd pair")


def test_streaming_is_on_up_to_sixteen_workers_unless_said() -> None:
    assert Batch(prompts=["a"], max_workers=16).streams
    assert not Batch(prompts=["a"], max_workers=17).streams
    assert Batch(prompts=["a"], max_workers=64, stream=True).streams
