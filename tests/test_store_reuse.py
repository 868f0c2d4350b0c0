"""Answers that are there already: no slot, no latency taught, their origin named; of runs that the person may see."""

from __future__ import annotations

from typing import Any

import pytest

from fanout.archive import export_run
from fanout.batch import Batch
from fanout.errors import Rejected
from fanout.fold import fold
from fanout.people import LOCAL, Person
from fanout.store.database import url_of
from tests.hands import WAIT_S
from tests.stores import Kept, eventually
from tests.test_store_resume import ANNA, BEN, finish, half, outputs

ADMIN = Person(user_id="ada", name="Ada", role="admin")


def again(kept: Kept, prompts: list[str], *, by: Person = LOCAL, **settings: Any) -> Any:
    return kept.library.start(Batch(prompts=prompts, max_workers=1, reuse_answers=True, **settings), by=by)


def test_a_prompt_that_was_answered_before_is_not_sent(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b", "c"], answered=2)
        live = again(kept, ["c", "b", "a", "a"])
        assert finish(kept, live) == ["c"]
        run = live.snapshot()
        assert outputs(live) == ["later c", "first b", "first a", "first a"]
        for call, of_call in ((1, 1), (2, 0), (3, 0)):
            origin = run.calls[call].origin
            assert origin is not None
            assert (origin.run_id, origin.call) == (run_id, of_call)
            assert origin.answered_at_s == pytest.approx(kept.shelf.find(LOCAL, run_id).opened_at, abs=60)
            assert run.calls[call].attempts == ()
            assert run.calls[call].latency_ns is None
            assert run.calls[call].usage.output_tokens is None
        assert [result.reused_from for result in run.results()] == [None, run_id, run_id, run_id]
        assert kept.store.flush(WAIT_S)
        assert fold(kept.stored(live.run_id)) == run
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")
        assert kept.shelf.find(LOCAL, live.run_id).tokens == 4  # of the one that was sent


def test_what_was_taken_counts_towards_no_cap_and_takes_no_slot(database_url: str) -> None:
    with Kept(database_url) as kept:
        half(kept, [str(n) for n in range(8)], answered=8, max_output_tokens=1)
        live = again(
            kept, [str(n) for n in range(9)], max_output_tokens=1, cap_tokens=30, requests_per_minute=1, burst=1
        )
        assert finish(kept, live) == ["8"]
        assert live.snapshot().cap is None
        assert live.snapshot().stop_reason == "finished"


def test_an_answer_that_was_itself_taken_keeps_its_first_origin(database_url: str) -> None:
    with Kept(database_url) as kept:
        first = half(kept, ["a"], answered=1)
        second = again(kept, ["a"])
        assert finish(kept, second) == []
        assert kept.store.flush(WAIT_S)
        third = kept.library.start(Batch(prompts=["a"]), carry_from=second.run_id)
        assert finish(kept, third) == []
        origin = third.snapshot().calls[0].origin
        assert origin is not None
        assert origin.run_id == first


def test_answers_of_another_server_are_not_taken_whatever_its_model_is_called(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Kept(database_url) as kept:
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8001/v1")
        half(kept, ["a"], answered=1, model="openai-chat:default")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8002/v1")
        other = again(kept, ["a"], model="openai-chat:default")
        assert finish(kept, other) == ["a"]
        assert kept.store.flush(WAIT_S)
        assert "127.0.0.1" not in repr(kept.stored(other.run_id)[0]), "a server is told apart, and not named"
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8001/v1")
        assert finish(kept, again(kept, ["a"], model="openai-chat:default")) == []


@pytest.mark.parametrize(
    "other",
    [
        {"model": "openai-chat:other"},
        {"instructions": "be brief"},
        {"temperature": 0.5},
        {"max_output_tokens": 5},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_setting_is_another_question(tmp_path: Any, other: dict[str, Any]) -> None:
    with Kept(url_of(tmp_path)) as kept:
        half(kept, ["a"], answered=1)
        assert finish(kept, again(kept, ["a"], **other)) == ["a"]
        assert finish(kept, again(kept, ["a"], **other)) == []


def test_what_does_not_change_an_answer_does_not_matter(tmp_path: Any) -> None:
    with Kept(url_of(tmp_path)) as kept:
        half(kept, ["a"], answered=1)
        assert finish(kept, again(kept, ["a"], retries=0, timeout_s=5, name="another", weight=1)) == []


def test_a_run_that_went_on_with_another_model_is_not_looked_through(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b"], answered=1)
        live = kept.library.resume(LOCAL, run_id, changes={"model": "openai-chat:other"})
        finish(kept, live, word="other")
        assert kept.store.flush(WAIT_S)
        assert finish(kept, again(kept, ["a", "b"])) == ["a", "b"]
        assert finish(kept, again(kept, ["c"], model="openai-chat:other")) == ["c"]


def test_an_answer_that_was_taken_is_still_its_own_model_s(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b"], answered=1)
        finish(kept, kept.library.resume(LOCAL, run_id, changes={"model": "openai-chat:other"}), word="other")
        assert kept.store.flush(WAIT_S)
        batch = Batch(prompts=["b", "a", "c", "c"], model="openai-chat:third", max_workers=1, identical_once=True)
        live = kept.library.start(batch, carry_from=run_id)
        assert finish(kept, live) == ["c"]
        models = ["openai-chat:other", "sandbox", "openai-chat:third", "openai-chat:third"]
        assert [result.model for result in live.results()] == models
        assert kept.store.flush(WAIT_S)
        assert [result.model for result in fold(kept.stored(live.run_id)).results()] == models


def test_a_file_that_goes_on_under_another_model_stays_one_of_which_nobody_knows_who_wrote_it(
    database_url: str,
) -> None:
    with Kept(database_url) as kept:
        text = export_run(kept.stored(half(kept, ["a", "b"], answered=1)))
        run_id = kept.library.put_in(BEN, text)
        finish(kept, kept.library.resume(BEN, run_id, changes={"model": "openai-chat:other"}), word="other")
        assert kept.store.flush(WAIT_S)
        row = kept.shelf.find(BEN, run_id)
        assert (row.model, row.imported) == ("openai-chat:other", True)


def test_only_runs_that_the_person_may_see_are_looked_through(database_url: str) -> None:
    with Kept(database_url) as kept:
        half(kept, ["secret"], answered=1, by=ANNA)
        assert finish(kept, again(kept, ["secret"], by=BEN)) == ["secret"]
        assert finish(kept, again(kept, ["secret"], by=ANNA)) == []
        assert finish(kept, again(kept, ["secret"], by=ADMIN)) == []
        linked = half(kept, ["linked"], answered=1, by=ANNA)
        kept.shelf.share(ANNA, linked, "link")
        assert finish(kept, again(kept, ["linked"], by=BEN)) == ["linked"]
        shared = half(kept, ["shared"], answered=1, by=ANNA)
        kept.shelf.share(ANNA, shared, "team")
        assert finish(kept, again(kept, ["shared"], by=BEN)) == []


def test_a_file_that_somebody_took_in_answers_nobody_else(database_url: str) -> None:
    with Kept(database_url) as kept:
        text = export_run(kept.stored(half(kept, ["a"], answered=1)))
        forged = text.replace("first a", "forged a")
        run_id = kept.library.put_in(BEN, forged)
        kept.shelf.share(BEN, run_id, "team")
        assert kept.shelf.find(BEN, run_id).imported
        assert finish(kept, again(kept, ["a"], by=ANNA)) == ["a"], "sent, although a file says that it was answered"
        own = again(kept, ["a"], by=BEN)
        assert finish(kept, own) == []
        assert outputs(own) == ["forged a"], "it is his own"


def test_failures_and_what_was_stopped_are_not_taken(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(prompts=["a", "b"], max_workers=1, retries=0)
        kept.sent(0).fail(Rejected("no"))
        kept.sent(1)
        live.cancel()
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        assert finish(kept, again(kept, ["a", "b"])) == ["a", "b"]


def test_a_deleted_run_gives_no_answers(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a"], answered=1)
        eventually(lambda: kept.shelf.find(LOCAL, run_id).state == "ended")
        kept.library.delete(LOCAL, run_id)
        assert finish(kept, again(kept, ["a"])) == ["a"]


def test_identical_prompts_are_sent_once_and_share_the_answer(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(prompts=["a", "b", "a", "a"], max_workers=4, identical_once=True)
        assert sorted(sending.prompt for sending in kept.caller.taken(2)) == ["a", "b"]
        finish(kept, live)
        assert kept.caller.count == 2
        run = live.snapshot()
        assert [call.output for call in run.calls] == ["later a", "later b", "later a", "later a"]
        origins = [(call.origin.run_id, call.origin.call) if call.origin else None for call in run.calls]
        assert origins == [None, None, (live.run_id, 0), (live.run_id, 0)]
        assert kept.store.flush(WAIT_S)
        assert fold(kept.stored(live.run_id)) == run


def test_identical_prompts_of_which_one_is_answered_are_not_sent_again(database_url: str) -> None:
    with Kept(database_url) as kept:
        run_id = half(kept, ["a", "b"], answered=1)
        batch = Batch(prompts=["a", "b", "a", "b", "a"], max_workers=1, identical_once=True)
        live = kept.library.start(batch, carry_from=run_id)
        assert finish(kept, live) == ["b"]
        assert outputs(live) == ["first a", "later b", "first a", "later b", "first a"]
        assert live.snapshot().stop_reason == "finished"


def test_what_start_would_take_is_known_before(database_url: str) -> None:
    with Kept(database_url) as kept:
        half(kept, ["a", "b", "c"], answered=2)
        batch = Batch(prompts=["c", "b", "a", "a"], reuse_answers=True)
        assert kept.library.answered_before(LOCAL, batch) == {1, 2, 3}
        assert kept.library.answered_before(LOCAL, Batch(prompts=["a"])) == frozenset()
        assert kept.caller.count == 3, "asking sends nothing"


def test_a_failure_of_the_one_that_was_sent_is_that_of_all_and_all_are_sent_again(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(prompts=["a", "a"], identical_once=True, retries=0)
        kept.sent(0).fail(Rejected("no"))
        assert live.wait(WAIT_S)
        assert [call.status for call in live.snapshot().calls] == ["failed", "not_sent"]
        assert live.retry_failed() == 2
        kept.sent(1).answer("yes")
        assert live.wait(WAIT_S)
        assert kept.caller.count == 2
        assert outputs(live) == ["yes", "yes"]


def test_taken_answers_teach_no_latency(database_url: str) -> None:
    from fanout.metrics import measure

    with Kept(database_url) as kept:
        half(kept, ["a", "b"], answered=2)
        live = again(kept, ["a", "b"])
        assert finish(kept, live) == []
        metrics = measure(live.snapshot())
        assert metrics.reused == metrics.answered == 2
        assert metrics.overlap in (None, 0.0)
        assert metrics.service_s == 0
