"""Going on with a run: what has an answer is not sent again, by text and not by place; caps and settings go with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fanout.batch import Batch
from fanout.errors import BadInput, Rejected
from fanout.fold import fold
from fanout.live import LiveRun
from fanout.people import LOCAL, Person
from fanout.quota.limits import Limits
from fanout.sandbox.profile import SandboxProfile
from fanout.store.database import url_of
from tests.hands import WAIT_S
from tests.stores import Kept, eventually

ANNA = Person(user_id="anna", name="Anna")
BEN = Person(user_id="ben", name="Ben")


def finish(kept: Kept, live: LiveRun, *, first: int = 0, word: str = "later") -> list[str]:
    """Answer all that the newest run sends; gives the prompts in the order they were sent."""
    place = first
    while not live.record.now().ended:
        eventually(lambda place=place: kept.caller.count > place or live.record.now().ended)  # type: ignore[misc]
        if kept.caller.count > place:
            kept.sent(place).answer(f"{word} {kept.sent(place).prompt}")
            place += 1
    assert live.wait(WAIT_S)
    return [sending.prompt for sending in kept.caller.taken(place)[first:]]


def half(kept: Kept, prompts: list[str], *, answered: int, by: Person = LOCAL, **settings: Any) -> str:
    """A run of which the first few prompts are answered and the rest was stopped; gives its id."""
    live = kept.library.start(Batch(prompts=prompts, max_workers=1, **settings), by=by)
    for place in range(answered):
        kept.sent(place).answer(f"first {kept.sent(place).prompt}")
    if answered < len(prompts):
        kept.sent(answered)
        live.cancel()
    assert live.wait(WAIT_S)
    assert kept.store.flush(WAIT_S)
    return live.run_id


def outputs(live: LiveRun) -> list[str | None]:
    return [call.output for call in live.snapshot().calls]


def test_another_process_sends_only_what_has_no_answer(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b", "a", "c"], answered=2)
        before = kept.stored(run_id)
    with Kept(database_url) as other:
        live = other.library.resume(LOCAL, run_id)
        assert finish(other, live) == ["a", "c"]
        assert outputs(live) == ["first a", "first b", "later a", "later c"]
        assert other.store.flush(WAIT_S)
        after = other.stored(run_id)
        assert after[: len(before)] == before
        run = fold(after)
        assert [call.output for call in run.calls] == outputs(live)
        assert [stretch.purpose for stretch in run.stretches] == ["first", "retry"]
        stamps = [event.at_ns for event in after]
        assert stamps == sorted(stamps)  # on one clock, across two processes
        assert other.library.find(LOCAL, run_id).live is live
    with Kept(database_url) as third:
        assert third.library.find(LOCAL, run_id).run.snapshot() == run


def test_an_interrupted_run_is_gone_on_with_as_a_resume(database_url: str) -> None:
    kept = Kept(database_url)
    live = kept.start(2, max_workers=1)
    kept.sent(0)
    assert kept.store.flush(WAIT_S)
    kept.die()
    with Kept(database_url) as other:
        again = other.library.resume(LOCAL, live.run_id)
        assert finish(other, again) == ["prompt 0", "prompt 1"]
        run = again.snapshot()
        assert [(stretch.purpose, stretch.reason) for stretch in run.stretches] == [
            ("first", "interrupted"),
            ("resume", "finished"),
        ]
        assert [attempt.lost for attempt in run.calls[0].attempts] == [True, False]


@pytest.mark.parametrize(
    ("new", "sent"),
    [
        (["d", "c", "b", "a"], ["d", "c"]),  # another order, one more
        (["a", "b"], []),  # shorter
        (["a", "b edited", "c"], ["b edited", "c"]),
        (["a", "a", "b", "a"], ["a", "a"]),  # one answer goes to one prompt
        (["x", "y"], ["x", "y"]),
        ([" a", "b "], [" a", "b "]),  # not the same text
    ],
)
def test_another_list_takes_the_answers_of_the_same_texts(tmp_path: Any, new: list[str], sent: list[str]) -> None:
    with Kept(url_of(tmp_path)) as kept:
        run_id = half(kept, ["a", "b", "c"], answered=2)
        live = kept.library.start(Batch(prompts=new, max_workers=1), carry_from=run_id)
        assert finish(kept, live) == sent
        run = live.snapshot()
        assert all(call.status == "answered" for call in run.calls)
        for call in run.calls:
            if call.origin is not None:
                assert call.output == f"first {call.prompt}"
                assert call.origin.run_id == run_id
                assert call.attempts == ()
        assert [call.prompt for call in run.calls if call.origin is None] == sent


def test_what_was_answered_twice_differently_stays_two_answers(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(prompts=["a", "a"], max_workers=1)
        kept.sent(0).answer("one")
        kept.sent(1).answer("two")
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        again = kept.library.start(Batch(prompts=["b", "a", "a", "a"], max_workers=1), carry_from=live.run_id)
        assert finish(kept, again) == ["b", "a"]
        assert outputs(again) == ["later b", "one", "two", "later a"]


def test_other_settings_hold_from_there_on(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b", "c", "d"], answered=1)
    with Kept(database_url) as other:
        live = other.library.resume(LOCAL, run_id, changes={"max_workers": 3, "model": "openai-chat:other"})
        assert len(other.caller.taken(3)) == 3
        assert live.batch.model == "openai-chat:other"
        assert live.max_workers == 3
        finish(other, live)
        assert other.store.flush(WAIT_S)
        assert fold(other.stored(run_id)).batch == live.batch
        assert other.shelf.find(LOCAL, run_id).model == "openai-chat:other"


def test_each_stretch_says_what_held_in_it(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b"], answered=1)
    with Kept(database_url) as other:
        live = other.library.resume(LOCAL, run_id, changes={"timeout_s": 5, "requests_per_minute": 600})
        finish(other, live)
        told = [(each.batch.timeout_s, each.batch.requests_per_minute) for each in live.snapshot().stretches]
        assert told == [(60.0, None), (5, 600)]


def test_settings_that_are_refused_by_now_do_not_bind_those_asked_for(tmp_path: Path) -> None:
    url = url_of(tmp_path)
    with Kept(url) as kept:
        run_id = half(kept, ["a", "b"], answered=1, requests_per_minute=90)
    with Kept(url, limits=Limits(requests_per_minute=60)) as other:
        with pytest.raises(BadInput, match="requests_per_minute must be at most 60"):
            other.library.resume(LOCAL, run_id)
        live = other.library.resume(LOCAL, run_id, changes={"requests_per_minute": 30})
        assert finish(other, live) == ["b"]
        assert other.callers[-1].count == 1
        account = live.quota()
        assert account is not None
        assert [limit.number for limit in account.own] == [30]


def test_another_model_leaves_the_sandbox_s_profile_behind(tmp_path: Path) -> None:
    with Kept(url_of(tmp_path)) as kept:
        run_id = half(kept, ["a", "b"], answered=1, sandbox=SandboxProfile(seed=7))
        live = kept.library.resume(LOCAL, run_id, changes={"model": "openai-chat:other"})
        assert finish(kept, live) == ["b"]
        assert live.batch.sandbox is None
        with pytest.raises(BadInput, match="goes with the model 'sandbox' only"):
            live.batch.changed({"sandbox": SandboxProfile().as_json()})


def test_a_refused_resume_leaves_the_run_as_it_was(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b"], answered=1)
        before = kept.stored(run_id)
    with Kept(database_url) as other:
        for wrong in ({"max_workers": 0}, {"prompts": ["x"]}, {"nothing": 1}, {"timeout_s": -1}):
            with pytest.raises(BadInput):
                other.library.resume(LOCAL, run_id, changes=wrong)
        assert other.stored(run_id) == before
        assert other.shelf.find(LOCAL, run_id).state == "ended"
        live = other.library.resume(LOCAL, run_id)
        assert finish(other, live) == ["b"]


def test_caps_count_what_earlier_stretches_used(database_url: str) -> None:
    """An answer uses four tokens: five prompts are twenty, and the cap is twelve."""
    prompts = [f"{n}" for n in range(5)]
    with Kept(database_url) as kept:
        run_id = half(kept, prompts, answered=2, cap_tokens=12, max_output_tokens=1)
    with Kept(database_url) as other:
        live = other.library.resume(LOCAL, run_id)
        place = 0
        while live.record.now().state != "paused":
            eventually(lambda place=place: other.caller.count > place or live.record.now().state == "paused")  # type: ignore[misc]
            if other.caller.count > place:
                other.sent(place).answer("x")
                place += 1
        assert place <= 1  # eight were used before: only one more fits
        cap = live.record.now().cap
        assert cap is not None
        assert cap.used >= 8
        live.cancel()
        assert live.wait(WAIT_S)


def test_a_run_that_is_all_answered_has_nothing_to_resume(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a"], answered=1)
    with Kept(database_url) as other:
        live = other.library.resume(LOCAL, run_id)
        assert live.wait(WAIT_S)
        assert other.caller.count == 0
        assert outputs(live) == ["first a"]


def test_failures_are_sent_again_and_keep_saying_so_until_then(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(2, max_workers=2, retries=0)
        kept.sent(0).fail(Rejected("no", provider_words="\x00 <b>no</b>"))
        kept.sent(1).answer("yes")
        assert live.wait(WAIT_S)
    with Kept(database_url) as other:
        run = other.library.find(LOCAL, live.run_id).run.snapshot()
        failed = next(call for call in run.calls if call.status == "failed")
        assert failed.error == Rejected("no", provider_words="\x00 <b>no</b>")
        again = other.library.resume(LOCAL, live.run_id)
        assert finish(other, again) == [failed.prompt]


def test_a_cap_in_dollars_that_was_not_counted_before_pauses_the_next_stretch_before_its_first_call(
    database_url: str,
) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b", "c", "d"], answered=1)
    with Kept(database_url) as other:
        live = other.library.resume(LOCAL, run_id, changes={"cap_usd": 1.0, "max_workers": 3})
        eventually(lambda: live.snapshot().cap)
        assert live.snapshot().state == "paused"
        assert other.caller.count == 0
        live.continue_()  # without the cap
        assert sorted(finish(other, live)) == ["b", "c", "d"]
