from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dashboard.rows import simulated
from dashboard.safe import as_sentence, cut, html_escape, markdown_escape
from dashboard.tables import MOST_CHARACTERS, Cells, Filter, arrange, clip, said
from fanout.clock import NS_PER_S
from fanout.errors import ServerFailed
from fanout.run import ENDED, Call, Origin, Run
from tests.runs import history, make_run, snapshots

NONE = Filter()


def _growing() -> Iterator[Run]:
    """One run of 60 calls, looked at ten times."""
    events = history(n=60)
    length_s = (events[-1].at_ns - events[0].at_ns) / NS_PER_S
    return snapshots(events, [length_s * step / 10 for step in range(11)])


def _completed(run: Run) -> list[int]:
    return [c.index for c in sorted(run.calls, key=lambda c: -1 if c.completed is None else c.completed)]


def test_completion_order_is_the_order_in_which_calls_ended() -> None:
    run = make_run(n=40)
    assert list(arrange(run, order="completion", only=NONE)) == _completed(run)
    assert list(arrange(run, order="input", only=NONE)) == list(range(40))


def test_completion_order_only_grows_at_its_end() -> None:
    before: tuple[int, ...] = ()
    for run in _growing():
        now = arrange(run, order="completion", only=NONE)
        assert now[: len(before)] == before
        before = now
    assert len(before) == 60


def test_what_goes_on_is_shown_in_completion_order_where_it_is_asked_for() -> None:
    going = next(run for run in _growing() if any(call.status == "running" for call in run.calls))
    shown = arrange(going, order="completion", only=Filter(statuses=frozenset({"running"})))
    assert shown
    assert {going.calls[index].status for index in shown} == {"running"}


def test_a_filter_reaches_prompt_answer_and_the_providers_words() -> None:
    calls = (
        Call(index=0, prompt="the Needle", status="answered", output="x"),
        Call(index=1, prompt="p", status="answered", output="a NEEDLE"),
        Call(index=2, prompt="p", status="failed", error=ServerFailed("no", provider_words="needle 5")),
        Call(index=3, prompt="p", status="answered", output="hay"),
    )
    run = replace(make_run(n=4), calls=calls)
    assert arrange(run, order="input", only=Filter(text=" needle ")) == (0, 1, 2)
    assert arrange(run, order="input", only=Filter(text="needle", statuses=frozenset({"failed"}))) == (2,)


def test_a_row_is_made_again_only_when_its_call_changed() -> None:
    cells = Cells()
    run = make_run(n=5)
    first = [cells.row(run, call) for call in run.calls]
    changed = replace(run.calls[2], output="other")
    again = [cells.row(run, call) for call in (*run.calls[:2], changed, *run.calls[3:])]
    assert [a is b for a, b in zip(first, again, strict=True)] == [True, True, False, True, True]


def test_the_table_has_a_row_per_index_in_that_order() -> None:
    run = make_run(n=10)
    table = Cells().table(run, (7, 3))
    assert table.column("number").to_pylist() == [8, 4]
    assert table.column("prompt").to_pylist() == [clip(run.calls[7].prompt), clip(run.calls[3].prompt)]


def test_what_is_unknown_is_empty_and_not_zero() -> None:
    run = replace(make_run(n=1), calls=(Call(index=0, prompt="p"),))
    row = Cells().table(run, (0,)).to_pylist()[0]
    assert (row["latency"], row["tokens_in"], row["tokens_out"], row["answer"]) == (None, None, None, "")


def test_a_cell_is_one_short_line() -> None:
    assert clip("a\n b\t c") == "a b c"
    assert len(clip("x" * 150_000)) == MOST_CHARACTERS
    assert clip("x" * 150_000).endswith("…")
    assert cut("a  b", 3) == "a b"


def test_a_failure_says_its_sentence_and_the_providers_words() -> None:
    assert said(
        Call(index=0, prompt="p", status="failed", error=ServerFailed("It failed.", provider_words="boom"))
    ) == ("It failed. boom")


@pytest.mark.parametrize("status", sorted(ENDED))
def test_every_end_has_its_word(status: str) -> None:
    run = make_run(n=1)
    call = replace(run.calls[0], status=status)  # type: ignore[arg-type]
    assert Cells().row(run, call).status == status.replace("_", " ")


def test_what_was_cancelled_before_it_was_sent_is_found_as_not_sent() -> None:
    run = make_run(n=12, max_workers=2, stop_at_s=1.0)
    words = {cells.status for cells in (Cells().row(run, call) for call in run.calls)}
    assert {"cancelled", "not sent"} <= words
    unsent = arrange(run, order="input", only=Filter(statuses=frozenset({"not_sent"})))
    cut = arrange(run, order="input", only=Filter(statuses=frozenset({"cancelled"})))
    assert all(not run.calls[index].attempts for index in unsent)
    assert all(run.calls[index].attempts for index in cut)
    assert len(unsent) + len(cut) == sum(call.status == "cancelled" for call in run.calls)


def test_markdown_and_html_show_as_themselves() -> None:
    assert markdown_escape("![x](http://evil)\n# :red[a] $b$ <i>") == (
        r"\!\[x\]\(http\:\/\/evil\) \# \:red\[a\] \$b\$ \<i\>"
    )
    assert html_escape("<img src=\"x\" onerror='y'>&") == "&lt;img src=&quot;x&quot; onerror=&#x27;y&#x27;&gt;&amp;"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("there are no prompts: give at least one", "There are no prompts: give at least one."),
        ("retries must be from 0 to 20, got -5", "retries must be from 0 to 20, got -5."),
        ("openai needs a key: take the model 'sandbox'", "openai needs a key: take the model 'sandbox'."),
        ("The provider answered 500.", "The provider answered 500."),
        ("is it?", "is it?"),
        ("", ""),
    ],
)
def test_what_went_wrong_is_a_sentence(words: str, sentence: str) -> None:
    assert as_sentence(words) == sentence


def test_a_row_names_where_its_answer_was_taken_from() -> None:
    run = make_run(n=3)
    at_s = datetime(2026, 5, 12, 14, 2, tzinfo=UTC).timestamp()
    taken = replace(run.calls[0], origin=Origin(run_id="ab12cd34ef567890", call=6, answered_at_s=at_s))
    shared = replace(run.calls[1], origin=Origin(run_id=run.run_id, call=0, answered_at_s=at_s))
    table = Cells().table(replace(run, calls=(taken, shared, run.calls[2])), (0, 1, 2))
    assert table.column("origin").to_pylist() == ["from run ab12cd34, 12 May 2026 UTC", "shares the call of #1", None]
    assert "origin" not in Cells().table(run, (0, 1, 2)).column_names, (
        "where nothing was taken, there is no such column"
    )


def test_rows_name_the_model_once_a_run_has_had_several() -> None:
    cells, run = Cells(), make_run(n=3)
    assert "model" not in cells.table(run, (0, 1)).column_names
    other = replace(run.batch, model="openai-chat:other")
    second = replace(run.stretches[0], number=1, batch=other)
    gone_on = replace(run, batch=other, stretches=(*run.stretches, second))
    table = cells.table(gone_on, (0, 1))  # the same calls: what was made of them before is not shown again
    assert table.column("model").to_pylist() == ["sandbox (simulated)"] * 2


def test_what_the_sandbox_made_is_said_to_be_simulated_also_where_a_model_made_the_rest() -> None:
    run = make_run(n=3)
    assert simulated(run) == "Simulated: the sandbox made these answers, no model did."
    other = replace(run.batch, model="openai-chat:other")
    second = replace(run.stretches[0], number=1, batch=other)
    gone_on = replace(run, batch=other, stretches=(*run.stretches, second))
    assert simulated(gone_on, whose="A's answers") == (
        "Simulated in part: the sandbox made some of A's answers, no model did."
    )
    asked = [replace(attempt, model="openai-chat:other") for attempt in run.calls[0].attempts]
    calls = tuple(replace(call, attempts=tuple(asked)) for call in run.calls)
    assert simulated(replace(gone_on, calls=calls)) is None, "it was stopped before it made one"
    assert simulated(replace(run, batch=other, stretches=(second,), calls=calls)) is None


def test_an_answer_that_another_model_gave_before_is_named_so() -> None:
    run = make_run(n=2)
    taken = replace(run.calls[0], origin=Origin(run_id="older", call=0, answered_at_s=1.0, model="openai:x"))
    table = Cells().table(replace(run, calls=(taken, run.calls[1])), (0, 1))
    assert table.column("model").to_pylist() == ["openai:x", None]
