"""The page of quota: what it shows of an account, and the chart of its last minutes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import house
from dashboard.palette import contrast, theme
from dashboard.quota_chart import GAP_NS, LINE_COLOURS, STEP_NS, level_chart, used_by
from dashboard.quota_page import IDLE_S, every_s, used_and_idle
from dashboard.quota_words import account_name, documented, others_words, share_words, sharing, turns_of
from dashboard.refusals import explained, runs_words
from fanout import Batch, Engine
from fanout.clock import NS_PER_S
from fanout.errors import QuotaExhausted, RateLimited
from fanout.quota.caps import Amount, DayCap
from fanout.quota.limits import Limits
from fanout.quota.presets import preset_for
from fanout.quota.report import RateReport
from fanout.quota.view import LimitView, Refused, Sample, Share
from fanout.settings import Settings
from fanout.store.ledger import Today
from tests.accounts import account, limit, share
from tests.hands import WAIT_S, HandCaller, WatchedStore
from tests.pages import HOSTILE, go_to, open_page, read
from tests.runs import BEGAN_NS, make_run
from tests.stores import eventually


@pytest.fixture
def engine(caller: HandCaller, store: WatchedStore) -> Iterator[Engine]:
    limits = Limits(requests_per_minute=60)
    opened = Engine(caller_for=lambda _batch, _clock: caller, store=store, limits_for=lambda _model: limits)
    house.open_house(Settings(grace_s=0), engine=opened, prepare=False)
    yield opened
    house.close_house()


def _page() -> AppTest:
    return go_to(open_page(), "quota")


# The page


@pytest.mark.usefixtures("engine")
def test_before_anything_was_sent_it_says_what_will_stand_here() -> None:
    app = _page()
    assert "No account has been used yet." in read(app)
    assert [link.proto.label for link in app.get("page_link")] == ["Start a run"]


def test_an_account_shows_its_limits_with_their_source_and_leads_to_the_runs_that_share_it(engine: Engine) -> None:
    live = engine.start(Batch(prompts=["a", "b", "c"], model="openai:x", name="mine"))
    app = _page()
    assert "60 requests a minute from fanout.toml" in read(app)
    (link,) = app.get("page_link")
    assert f"run={live.run_id}" in link.proto.query_string
    assert link.proto.label.startswith("**mine** · ")


def test_the_limits_that_a_run_asked_for_itself_stand_under_it_also_on_an_account_without_any(
    engine: Engine, caller: HandCaller
) -> None:
    live = engine.start(Batch(prompts=["a", "b"], model="openai:x", requests_per_minute=30, burst=2, max_workers=1))
    caller.taken(1)
    assert "This run's own 30 RPM: 1 of 2 free at once, 1 reserved" in read(_page())
    live.cancel()
    assert live.wait(WAIT_S)
    assert "This run's own" not in read(_page())


def test_a_run_that_is_paused_takes_no_turns_and_says_so(engine: Engine, caller: HandCaller) -> None:
    going = engine.start(Batch(prompts=["a", "b", "c"], model="openai:x", name="going", max_workers=1))
    caller.taken(1)
    held = engine.start(Batch(prompts=["d", "e"], model="openai:x", name="held", cap_tokens=1))
    eventually(lambda: held.snapshot().state == "paused")
    (view,) = engine.quota()
    assert [(share.run_id, share.is_paused) for share in view.shares] == [(going.run_id, False), (held.run_id, True)]
    labels = [link.proto.label for link in _page().get("page_link")]
    assert [label.split(" · ")[1] for label in labels] == ["paused", "100 % of the turns"]
    assert sharing(view, held.run_id) is None
    assert sharing(view, going.run_id) is None


@pytest.mark.parametrize(
    ("first_s", "texts"),
    [
        (-30.0, ["−30 s", "−20 s", "−10 s", "now"]),
        (-100.0, ["−90 s", "−60 s", "−30 s", "now"]),
        (-450.0, ["−6 min", "−4 min", "−2 min", "now"]),
        (-600.0, ["−10 min", "−8 min", "−6 min", "−4 min", "−2 min", "now"]),
    ],
)
def test_the_time_axis_is_marked_at_whole_steps_in_the_unit_that_reads(first_s: float, texts: list[str]) -> None:
    first = replace(account(), at_ns=700 * NS_PER_S)
    samples = tuple(
        Sample(at_ns=round((700 + at_s) * NS_PER_S), name="requests", free=1, capacity=2) for at_s in (first_s, 0)
    )
    figure = level_chart(replace(first, samples=samples), [])
    assert figure is not None
    assert list(figure.layout.xaxis.ticktext) == texts


def test_what_was_used_today_is_said_whether_or_not_an_account_was_used(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "today (UTC)" not in read(_page())
    today = Today(cap=DayCap(usd_a_day=5), used=Amount(usd=1.25), in_flight=Amount())
    nothing = Today(cap=DayCap(), used=Amount(), in_flight=Amount())
    monkeypatch.setattr(house.library(), "today", lambda _person: (today, nothing))
    assert "You used $1.25 of $5.00 today (UTC)." in read(_page())
    engine.start(Batch(prompts=["a"], model="openai:x"))
    assert "You used $1.25 of $5.00 today (UTC)." in read(_page())


def test_a_429_is_listed_with_its_remedy(engine: Engine, caller: HandCaller, store: WatchedStore) -> None:
    live = engine.start(Batch(prompts=["a"], retries=0, name="refused"))
    caller.taken(1)[0].fail(RateLimited("The provider answered 429.", status_code=429, retry_after_s=2.0))
    store.await_run(live, lambda run: run.ended)
    (refused,) = engine.quota()[0].refusals
    said = read(_page())
    assert "429s, and what would have avoided them" in said
    assert refused.why in said
    assert refused.remedy in said


def test_a_429_of_the_day_is_listed_and_its_limit_is_named(
    engine: Engine, caller: HandCaller, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = engine.start(Batch(prompts=["a"], retries=0))
    used_up = QuotaExhausted("The day's requests are used up.", status_code=429, retry_after_s=86_400.0)
    caller.taken(1)[0].fail(used_up, report=RateReport(exhausted="requests_per_day"))
    store.await_run(live, lambda run: run.ended)
    (view,) = engine.quota()
    monkeypatch.setattr(house.engine(), "quota", lambda: (replace(view, limits=()),))
    said = read(_page())
    assert "No limit known by its number. The provider has refused by its limit of requests a day." in said
    assert "The limit of requests a day was used up" in said


def test_names_of_runs_are_shown_and_not_rendered(engine: Engine) -> None:
    engine.start(Batch(prompts=["a"], requests_per_minute=60, name=HOSTILE))
    label = _page().get("page_link")[0].proto.label
    assert "![x](" not in label
    assert "\\!\\[x\\]\\(" in label


@pytest.mark.parametrize(
    ("view", "looks"),
    [
        (limit(free=41), True),
        (limit(free=60, used=0, reserved=0), False),
        (limit(name="requests_per_day", free=41), False),
    ],
)
def test_it_looks_again_until_the_limits_of_a_minute_are_full(view: LimitView, looks: bool) -> None:
    assert (every_s([account(limits=(view,))], []) is not None) is looks


# Its words


def test_an_account_is_named_by_its_model_its_address_and_the_documents_it_follows() -> None:
    assert account_name(account()) == "openai:x at api.example"
    assert account_name(account(account="sandbox", model="sandbox 1f")) == "sandbox 1f"
    said = documented(account(preset=preset_for("google")))
    assert said.startswith(
        "From the preset for Gemini API, where fanout.toml says nothing else: it limits requests a minute, input "
        "tokens a minute, requests a day, takes what an answer used off the tokens, and lets 6 s of a minute's limit "
        "start at once; a day ends at midnight, America/Los_Angeles. Its answers do not tell what is left. "
        "The limits' numbers are not from it."
    )
    assert "takes the most that an answer might have had off the tokens" in documented(
        account(preset=preset_for("openai"))
    )
    assert said.endswith("Sources: https://ai.google.dev/gemini-api/docs/rate-limits.")
    assert "not known here" in documented(account())
    assert account_name(account(preset=preset_for("groq"))) == "openai:x at api.example, counted as Groq documents it"


def test_a_share_says_what_a_run_has_and_leaves_out_what_it_has_not() -> None:
    share = Share(run_id="r", weight=1, waiting=0, in_flight=2, requests=1, tokens=1_200)
    assert share_words(share, turns=1) == "100 % of the turns · 2 in flight · 1 request sent · 1,200 tokens used"
    heavy = replace(share, weight=2)
    assert turns_of((share, heavy, replace(share, in_flight=0))) == 3
    assert share_words(heavy, turns=3).startswith("67 % of the turns (weight 2) · 2 in flight")
    assert share_words(replace(share, in_flight=0, assumed_tokens=268), turns=3) == (
        "1 request sent · 1,200 tokens used · up to about 268 more by attempts without an answer"
    )


def test_runs_of_others_are_counted_with_their_share_and_not_named() -> None:
    share = Share(run_id="secret", weight=1, waiting=0, in_flight=2, requests=1, tokens=7)
    ended = replace(share, run_id="gone", in_flight=0)
    assert others_words((share, replace(share, run_id="hidden", weight=2), ended), turns=4) == (
        "3 runs of others · 75 % of the turns (weight 3) · 4 in flight · 3 requests sent · 21 tokens used"
    )
    assert others_words((ended,), turns=0) == "1 run of others · 1 request sent · 7 tokens used"
    assert others_words((), turns=1) is None


def test_a_simulated_account_is_named_by_its_limits_and_its_id() -> None:
    named = account(account="sandbox", model="sandbox 63d8d107", title="sandbox, 120 RPM")
    assert account_name(named) == "sandbox, 120 RPM (63d8d107)"


# Its 429s


def refused(second: int, why: str = "The limit of 97 requests a minute was used up.", **changed: object) -> Refused:
    values: dict[str, object] = {
        "at_ns": second * NS_PER_S,
        "run_id": "r",
        "count": 1,
        "limit": "requests",
        "wait_s": 1.0,
        "why": why,
        "remedy": "Set a rate.",
    }
    return Refused(**{**values, **changed})  # type: ignore[arg-type]


def test_refusals_that_are_explained_alike_are_one_row_with_the_last_ones_numbers() -> None:
    later = "The limit of 1,012.5 requests a minute was used up."
    other = refused(5, "The limit of 97 tokens a minute was used up.", limit="tokens", wait_s=None)
    first, second = explained([refused(1), refused(2, later, run_id="s", count=3, wait_s=9.0), refused(3), other])
    assert (first.limit, first.last_ns, first.longest_s, first.times) == ("tokens", 5 * NS_PER_S, None, 1)
    assert (second.last_ns, second.why) == (3 * NS_PER_S, refused(3).why)
    assert (second.times, second.calls, second.longest_s, second.runs) == (3, 5, 9.0, ("r", "s"))


def test_the_runs_of_a_429_are_named_only_to_who_may_see_them() -> None:
    names = {"mine": "run mine"}
    assert runs_words(("mine",), names.get) == "run mine"
    assert runs_words(("mine", "secret"), names.get) == "2 runs"
    assert runs_words(("secret",), names.get) == "another's run"


# Accounts that nobody uses


def test_accounts_without_a_run_for_a_while_are_folded_away_below_but_never_all_of_them() -> None:
    at_ns = BEGAN_NS + int(2 * IDLE_S) * NS_PER_S
    lately = replace(_samples(60)[0], at_ns=at_ns - NS_PER_S)
    going = account(model="going", at_ns=at_ns, shares=(share("r", 1),))
    fresh = account(model="fresh", at_ns=at_ns, samples=(lately,))
    older = account(model="older", at_ns=at_ns, samples=_samples(60))
    oldest = account(model="oldest", at_ns=at_ns)
    used, idle = used_and_idle((oldest, older, fresh, going), {})
    assert [view.model for view in used] == ["going", "fresh"]
    assert [view.model for view in idle] == ["older", "oldest"]
    assert [view.model for view in used_and_idle((oldest, older), {})[0]] == ["older"]


@pytest.mark.usefixtures("engine")
def test_the_page_draws_folded_accounts_under_one_heading(monkeypatch: pytest.MonkeyPatch) -> None:
    at_ns = BEGAN_NS + int(2 * IDLE_S) * NS_PER_S
    views = tuple(account(model=f"m{place}", at_ns=at_ns, limits=(limit(),)) for place in range(3))
    monkeypatch.setattr(house.engine(), "quota", lambda: views)
    (folded,) = _page().expander
    assert folded.label == "2 accounts without a run for 10 min"


# The chart


def _samples(*levels: int, name: str = "requests") -> tuple[Sample, ...]:
    return tuple(
        Sample(at_ns=BEGAN_NS + second * NS_PER_S, name=name, free=free, capacity=60)  # type: ignore[arg-type]
        for second, free in enumerate(levels)
    )


AT_NS = BEGAN_NS - BEGAN_NS % STEP_NS + 2 * STEP_NS
"""A whole step of the chart."""


def test_an_account_without_levels_has_no_chart() -> None:
    assert level_chart(account(), [make_run(n=4)]) is None


def test_each_limit_is_a_line_in_per_cent_of_its_capacity() -> None:
    figure = level_chart(account(at_ns=AT_NS, samples=(*_samples(60, 30, 0), *_samples(15, name="tokens"))), [])
    assert figure is not None
    assert {trace.name: list(trace.y) for trace in figure.data} == {
        "requests a minute": [100, 50, 0],
        "tokens a minute": [25],
    }
    assert len({trace.line.dash for trace in figure.data}) == 2


def test_the_chart_stands_still_between_two_of_its_steps() -> None:
    samples = _samples(60, 30, 0)
    run = make_run(n=40)
    early, late = (level_chart(account(at_ns=AT_NS + more, samples=samples), [run]) for more in (1, STEP_NS - 1))
    assert early is not None
    assert early == late


def test_an_account_that_has_just_come_into_use_is_shown_at_once() -> None:
    just = replace(_samples(30)[0], at_ns=AT_NS + 1)
    figure = level_chart(account(at_ns=AT_NS + NS_PER_S, samples=(just,)), [])
    assert figure is not None
    assert list(figure.data[0].y) == [50]


def test_runs_lie_above_on_the_same_axis_where_they_were_going() -> None:
    run = make_run(n=40)
    ended_ns = run.stretches[0].ended_ns
    assert ended_ns is not None
    used = used_by(run, ended_ns + 10 * NS_PER_S)
    assert used.to_s == (-10.0,)
    assert used.from_s[0] == pytest.approx((BEGAN_NS - ended_ns) / 1e9 - 10)
    figure = level_chart(account(at_ns=AT_NS, samples=_samples(60, 30)), [run])
    assert figure is not None
    assert figure.layout.xaxis.anchor == "y"
    assert figure.data[-1].yaxis == "y2"
    assert (figure.layout.yaxis2.domain[0] > figure.layout.yaxis.domain[1]) is True


def test_a_run_s_name_is_no_tag_in_the_chart() -> None:
    run = make_run(n=4)
    named = Batch(prompts=run.batch.prompts, name="<b>x</b>")
    figure = level_chart(account(at_ns=AT_NS, samples=_samples(60)), [replace(run, batch=named)])
    assert figure is not None
    assert figure.layout.yaxis2.ticktext == ("&lt;b&gt;x&lt;/b&gt;",)


@pytest.mark.parametrize("line", LINE_COLOURS)
@pytest.mark.parametrize("dark", [False, True])
def test_lines_are_told_from_the_light_page_and_from_the_dark_one(line: str, dark: bool) -> None:
    assert contrast(line, theme(dark=dark).page) >= 3


def test_what_lies_far_apart_is_not_joined() -> None:
    first, last = _samples(60)[0], _samples(30)[0]
    later = replace(last, at_ns=last.at_ns + GAP_NS + 1)
    figure = level_chart(account(at_ns=AT_NS + GAP_NS + STEP_NS, samples=(first, later)), [])
    assert figure is not None
    assert list(figure.data[0].y) == [100, None, 50]


def test_nothing_is_said_of_a_level_after_its_last_sample() -> None:
    figure = level_chart(account(at_ns=AT_NS + 20 * NS_PER_S, samples=_samples(60, 0)), [])
    assert figure is not None
    assert max(figure.data[0].x) < -20
