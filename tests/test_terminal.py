"""A run on a terminal that meets its limits: it says what it waits for, and stops at its cap."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fanout import events as ev
from fanout import terminal
from fanout.batch import Batch
from fanout.clock import VirtualClock
from fanout.errors import BadAnswer, CallFailed, RateLimited, Rejected, ServerFailed
from fanout.fold import fold
from fanout.live import LiveRun, Record
from fanout.quota.view import AccountView
from fanout.store import MemoryStore
from fanout.store.database import url_of
from fanout.terminal import Order, follow, held_words, sends_the_rest
from tests.hands import WAIT_S
from tests.stores import Kept, eventually


@dataclass
class StoppingHands:
    """An engine that can only stop, and remembers how often it was asked to."""

    stopped: list[str] = field(default_factory=list)

    def cancel(self, live: LiveRun) -> None:
        self.stopped.append(live.run_id)
        waiting = [call.index for call in live.snapshot().calls if call.status == "queued"]
        live.record.add(
            ev.StopAsked(at_ns=9, reason="stopped"), *(ev.Cancelled(at_ns=9, call=index) for index in waiting)
        )
        live.record.add(ev.StretchEnded(at_ns=9, stretch=0, reason="stopped"))

    def set_max_workers(self, live: LiveRun, max_workers: int) -> None: ...
    def set_weight(self, live: LiveRun, weight: int) -> None: ...
    def pause(self, live: LiveRun) -> None: ...
    def continue_(self, live: LiveRun) -> None: ...
    def interrupt(self, live: LiveRun) -> None: ...
    def retry_failed(self, live: LiveRun) -> int:
        return 0

    def quota_of(self, live: LiveRun) -> AccountView | None: ...


@pytest.fixture(autouse=True)
def nobody_asked() -> Iterator[None]:
    """No test's Ctrl+C is another's."""
    yield
    terminal.asked_to_end.clear()


def opened(n: int, **settings: Any) -> list[ev.Event]:
    batch = Batch(prompts=["prompt"] * n, **settings)
    return [
        ev.RunOpened(at_ns=0, run_id="r", batch=batch, opened_at_s=0.0),
        ev.StretchBegan(at_ns=0, stretch=0, purpose="first", max_workers=2, calls=tuple(range(n))),
    ]


def answered(call: int, cost_usd: float | None = None) -> list[ev.Event]:
    return [
        ev.Started(at_ns=1, call=call, attempt=1, lane=0),
        ev.Sent(at_ns=1, call=call, attempt=1),
        ev.Succeeded(at_ns=2, call=call, attempt=1, output=f"answer {call}", received_ns=2, cost_usd=cost_usd),
    ]


def live_run(events: Sequence[ev.Event], hands: StoppingHands) -> LiveRun:
    first = events[0]
    assert isinstance(first, ev.RunOpened)
    store = MemoryStore()
    record = Record(first, store.open(first), immediate=True)
    live = LiveRun(record, hands=hands, store=store, clock=VirtualClock())
    live.record.add(*events[1:])
    return live


def at_cap(cap: ev.Cap, used: float, allowed: float) -> list[ev.Event]:
    return [ev.CapReached(at_ns=3, cap=cap, used=used, allowed=allowed), ev.HoldChanged(at_ns=3, held_by="cap")]


def test_a_run_that_pauses_at_its_cap_is_stopped_and_says_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    hands, out = StoppingHands(), io.StringIO()
    events = [*opened(5, cap_tokens=1000), *answered(0), *answered(1), *at_cap("tokens", 1040, 1000)]
    live = live_run(events, hands)
    assert follow(live, order="input", as_json=False, out=out) == 1
    assert hands.stopped == ["r"]
    assert [line.split("  ")[1] for line in out.getvalue().splitlines()] == ["answered"] * 2 + ["not sent"] * 3
    assert capsys.readouterr().err.splitlines()[-1] == (
        "Stopped at its cap: 1,040 of 1,000 tokens used; 3 of 5 prompts left."
    )
    assert sends_the_rest(live.snapshot(), is_stored=False) == "Run again with a higher --cap-tokens."
    assert sends_the_rest(live.snapshot(), is_stored=True) == (
        "What is missing is sent, with a higher --cap-tokens, by: python -m fanout resume r --cap-tokens 2040"
    )


def test_a_cap_in_dollars_names_dollars_and_the_summary_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    events = [*opened(2, cap_usd=0.5), *answered(0, cost_usd=0.512), *at_cap("usd", 0.512, 0.5)]
    live = live_run(events, StoppingHands())
    assert follow(live, order="completion", as_json=True, out=out) == 1
    assert "$0.512 of $0.5 used; 1 of 2 prompts left." in capsys.readouterr().err
    assert sends_the_rest(live.snapshot(), is_stored=True) == (
        "What is missing is sent, with a higher --cap-usd, by: python -m fanout resume r --cap-usd 1.02"
    )
    summary = json.loads(out.getvalue().splitlines()[-1])["summary"]
    assert summary["cap"] == {"cap": "usd", "used": 0.512, "allowed": 0.5, "of": "run", "expected": None}


def test_a_cap_in_dollars_that_nobody_can_count_says_so_and_advises_none_that_stops_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    events = [*opened(3, cap_usd=0.5, model="openai-chat:x"), *answered(0), *at_cap("usd", 0, 0.5)]
    live = live_run(events, StoppingHands())
    assert follow(live, order="completion", as_json=False, out=io.StringIO()) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "Stopped: it may use $0.5, and the price of openai-chat:x is not known, so nobody can count what it uses; "
        "2 of 3 prompts left."
    )
    assert sends_the_rest(live.snapshot(), is_stored=True) == (
        "What is missing is sent, without a cap in dollars (--cap-tokens caps it in tokens), by: "
        "python -m fanout resume r --no-cap-usd"
    )
    assert sends_the_rest(live.snapshot(), is_stored=False) == (
        "Run again without a cap in dollars (--cap-tokens caps it in tokens)."
    )


def test_a_cap_below_what_one_call_may_need_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    live = live_run([*opened(2), *at_cap("tokens", 0, 100)], StoppingHands())
    assert follow(live, order="completion", as_json=False, out=io.StringIO()) == 1
    assert "0 of 100 tokens used, and the next call may need more than the rest; 2 of 2" in capsys.readouterr().err
    reached = ev.CapReached(at_ns=3, cap="tokens", used=0, allowed=100, expected=268)
    live = live_run([*opened(2), reached, ev.HoldChanged(at_ns=3, held_by="cap")], StoppingHands())
    assert follow(live, order="completion", as_json=False, out=io.StringIO()) == 1
    assert "0 of 100 tokens used, and the next call is expected to use 268; 2 of 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reason", "error", "told"),
    [
        (
            "same_failure",
            Rejected("The provider answered 400: it refuses the settings. Change them.", status_code=400),
            "Stopped, because every prompt so far was refused for the same reason: "
            "The provider answered 400: it refuses the settings. Change them.",
        ),
        (
            "provider_down",
            ServerFailed("The provider answered 500: it failed inside. Send it again.", status_code=500),
            "Stopped, because the provider answers with nothing but faults: "
            "The provider answered 500: it failed inside. Resume once the provider is well again.",
        ),
        (
            "provider_down",
            BadAnswer("Is that the right base URL?"),
            "faults: Is that the right base URL? Resume once the provider is well again.",
        ),
    ],
)
def test_a_run_that_its_failures_stopped_says_so(
    reason: ev.StopReason, error: CallFailed, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gone: list[ev.Event] = [ev.Cancelled(at_ns=4, call=1), ev.NotSent(at_ns=4, call=2, reason=reason)]
    stops = ev.StopAsked(at_ns=4, reason=reason, error=error)
    end = ev.StretchEnded(at_ns=5, stretch=0, reason=reason)
    live = live_run([*opened(3), *answered(0), stops, *gone, end], StoppingHands())
    assert follow(live, order="completion", as_json=False, out=io.StringIO()) == 1
    said = capsys.readouterr().err
    assert "1 answered, 2 not sent." in said
    assert said.rstrip().endswith(told)


def test_a_days_cap_names_whose_it_is_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    reached = ev.CapReached(at_ns=3, cap="tokens", used=1040, allowed=1000, of="team")
    live = live_run([*opened(2), reached, ev.HoldChanged(at_ns=3, held_by="cap")], StoppingHands())
    assert follow(live, order="completion", as_json=False, out=io.StringIO()) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "Stopped. The team's cap of today is reached: 1,040 of 1,000 tokens used. 2 of 2 prompts left. Wait for the "
        "new day (00:00 UTC), or ask an admin to raise the cap in the settings, which hold from a restart on."
    )
    assert sends_the_rest(live.snapshot(), is_stored=True) == ("What is missing is sent by: python -m fanout resume r")


def test_a_run_whose_cap_was_raised_goes_on_to_its_end() -> None:
    hands = StoppingHands()
    events = [*opened(1), *at_cap("tokens", 1040, 1000), ev.CapRaised(at_ns=4, cap="tokens", allowed=2000)]
    ended = ev.StretchEnded(at_ns=6, stretch=0, reason="finished")
    live = live_run([*events, ev.HoldChanged(at_ns=4, held_by=None), *answered(0), ended], hands)
    assert follow(live, order="completion", as_json=False, out=io.StringIO()) == 0
    assert hands.stopped == []


def test_results_in_completion_order_are_in_completion_order() -> None:
    out = io.StringIO()
    ended = ev.StretchEnded(at_ns=6, stretch=0, reason="finished")
    live = live_run([*opened(3), *answered(2), *answered(0), *answered(1), ended], StoppingHands())
    follow(live, order="completion", as_json=False, out=out)
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["3", "1", "2"]


@pytest.mark.parametrize(
    ("held_by", "words"),
    [
        ("tokens", "waiting for the token limit"),
        ("requests_per_day", "waiting for the next day's requests"),
        ("turn", "waiting for its turn beside other runs"),
        ("workers", ""),
        ("paused", ""),
        (None, ""),
    ],
)
def test_the_bar_says_which_limit_a_run_waits_for(held_by: ev.Held | None, words: str) -> None:
    run = fold([*opened(3), ev.HoldChanged(at_ns=3, held_by=held_by)])
    assert held_words(run) == words


def test_the_bar_of_a_run_that_has_ended_waits_for_nothing() -> None:
    ended = ev.StretchEnded(at_ns=6, stretch=0, reason="finished")
    assert held_words(fold([*opened(1), ev.HoldChanged(at_ns=1, held_by="tokens"), *answered(0), ended])) == ""


def test_an_interrupt_whose_exception_was_lost_ends_the_run_all_the_same() -> None:
    """It is lost where it comes up in a finaliser, which Python only prints."""
    hands = StoppingHands()
    live = live_run([*opened(2), *answered(0)], hands)
    terminal.asked_to_end.set()
    assert follow(live, order="completion", as_json=False, out=io.StringIO()) == terminal.INTERRUPTED
    assert hands.stopped == ["r"]
    assert not terminal.asked_to_end.is_set()


def lines_of(out: io.StringIO) -> list[list[str]]:
    """Of each whole line that was printed: its number, what became of it, and the answer."""
    return [[field for i, field in enumerate(line.split("  ")) if i != 2] for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("completion", ["1 answered one", "2 answered two", "4 not sent", "5 not sent", "3 cancelled"]),
        ("input", ["1 answered one", "2 answered two", "3 cancelled", "4 not sent", "5 not sent"]),
    ],
)
def test_what_ends_after_an_interrupt_is_told_and_then_the_rest_with_its_last_word(
    order: Order, told: list[str], database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Kept(database_url) as kept, ThreadPoolExecutor(1) as pool:
        live = kept.start(5, retries=0)
        out = io.StringIO()
        code = pool.submit(follow, live, order=order, as_json=False, out=out, grace_s=WAIT_S)
        kept.sent_for(0).answer("one")
        eventually(lambda: len(lines_of(out)) == 1)
        kept.sent_for(2)
        terminal.asked_to_end.set()
        eventually(lambda: live.snapshot().stop_reason == "interrupted")
        kept.sent_for(1).answer("two")
        eventually(lambda: len(lines_of(out)) == 2)
        terminal.asked_to_end.set()  # once more: what is in flight is hung up
        assert code.result(WAIT_S) == terminal.INTERRUPTED
    assert [" ".join(line).rstrip() for line in lines_of(out)] == told
    said = capsys.readouterr().err
    assert "Stopping: 2 calls in flight" in said
    assert "2 answered, 1 cancelled, 2 not sent." in said


def test_an_interrupt_is_noted_between_two_lines_and_an_exception_where_nobody_looks() -> None:
    with pytest.raises(KeyboardInterrupt):
        terminal.user_asks_to_end()
    terminal.asked_to_end.clear()
    with terminal._looking():
        terminal.user_asks_to_end()
        assert terminal.asked_to_end.is_set()
        with pytest.raises(KeyboardInterrupt):
            terminal.user_asks_to_end()  # nobody has seen the first: a line cannot be printed


def test_a_run_that_ends_between_two_looks_is_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    over = ev.StretchEnded(at_ns=9, stretch=0, reason="finished")
    live = live_run([*opened(1), *answered(0), over], StoppingHands())
    looked = iter([False, True])  # it ended after the first look had waited, and before it was looked at
    monkeypatch.setattr(LiveRun, "wait", lambda *_: next(looked))
    assert follow(live, order="completion", as_json=False, out=io.StringIO()) == 0


@pytest.mark.parametrize("order", ["input", "completion"])
def test_what_is_sent_again_is_told_once_and_with_its_last_word(
    order: Order, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout.store.writer.GATHER_S", 0.5)  # the store knows of the stretch long after it began
    with Kept(database_url) as kept:
        live = kept.start(4, max_workers=4, retries=0)
        for place in range(4):
            sending = kept.sent_for(place)
            sending.answer("yes") if place % 2 else sending.fail(ServerFailed("500."))
        assert live.wait(WAIT_S)
        assert kept.store.flush(WAIT_S)
        again = kept.engine.resume(live.run_id)
        with ThreadPoolExecutor(1) as pool:
            out = io.StringIO()
            code = pool.submit(follow, again, order=order, as_json=True, out=out)
            for place in (4, 5):
                kept.sent(place).answer("at last")
            assert code.result(WAIT_S) == 0, out.getvalue()
    *told, last = map(json.loads, out.getvalue().splitlines())
    assert sorted(each["index"] for each in told) == [0, 1, 2, 3]
    assert {each["status"] for each in told} == {"answered"}
    assert [each["output"] for each in sorted(told, key=lambda each: int(each["index"]))] == ["at last", "yes"] * 2
    assert last["summary"]["answered"] == 4


def test_an_answer_that_was_taken_says_where_it_comes_from() -> None:
    noon_s = time.mktime((2026, 5, 12, 12, 0, 0, 0, 0, -1))
    taken: list[ev.Event] = [
        ev.Reused(at_ns=1, call=call, output="yes", of_run=of_run, of_call=0, answered_at_s=noon_s, model="sandbox")
        for call, of_run in ((1, "ab12cd34ef"), (2, "r"))
    ]
    live = live_run([*opened(3), *answered(0), *taken], StoppingHands())
    live.record.add(ev.StretchEnded(at_ns=9, stretch=0, reason="finished"))
    out = io.StringIO()
    follow(live, order="input", as_json=False, out=out)
    assert out.getvalue().splitlines()[1:] == [
        "2  answered  from run ab12cd34ef, 12 May 2026  yes",
        "3  answered  shares the call of 1  yes",
    ]
    as_json = io.StringIO()
    follow(live, order="input", as_json=True, out=as_json)
    assert json.loads(as_json.getvalue().splitlines()[1])["reused_from"] == "ab12cd34ef"


@pytest.mark.parametrize("fresh", [0, 2])
def test_a_long_wait_for_a_limit_is_said_once_where_there_is_no_bar(
    fresh: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fanout.terminal.LONG_WAIT_S", 0.3)
    said = ""

    def has_said() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "Nothing is in flight" in said

    looks: list[None] = []
    look = terminal._raise_if_asked_to_end

    def look_and_count() -> None:
        looks.append(None)
        look()

    monkeypatch.setattr("fanout.terminal._raise_if_asked_to_end", look_and_count)
    with Kept(url_of(tmp_path)) as kept, ThreadPoolExecutor(1) as pool:
        live = kept.start(fresh + 2, max_workers=2)
        out = io.StringIO()
        code = pool.submit(follow, live, order="completion", as_json=False, out=out, grace_s=0)
        try:
            for place in range(2):
                kept.sent(place).fail(RateLimited("429.", status_code=429, retry_after_s=3600.0))
            eventually(has_said)
            looked = len(looks)
            eventually(lambda: len(looks) > looked + 12)  # again and again, for longer than a long wait
        finally:
            terminal.asked_to_end.set()
        assert code.result(WAIT_S) == terminal.INTERRUPTED
    said += capsys.readouterr().err
    line = "Nothing is in flight: waiting after a 429; the next call may start in 60 min."
    assert said.count(line) == said.count("Nothing is in flight") == 1
