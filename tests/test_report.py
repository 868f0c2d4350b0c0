"""A report stands by itself: it allows no request, holds every text as text, and needs no script but for the chart."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard import report
from dashboard.palette import colour, contrast, theme
from dashboard.report import Saved, report_html
from dashboard.report.parts import GROUP, LONG_CHARACTERS, answers, failures
from fanout.errors import ServerFailed
from fanout.run import Run
from fanout.sandbox.profile import SandboxProfile
from tests.runs import history, make_run, snapshots
from tests.test_compare import said, went_on
from tests.test_gantt_figure import HOSTILE

CSS = (Path(report.__file__).parent / "report.css").read_text()


class Page(HTMLParser):
    """What a reader's browser makes of a page: its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._skipped = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._skipped = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._skipped = ""

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.words += data

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def hostile() -> Run:
    run = said(HOSTILE, None, "ok", prompts=[HOSTILE, f"b {HOSTILE}", "c"], name=HOSTILE, instructions=HOSTILE)
    error = ServerFailed(f"It failed: {HOSTILE}", provider_words=HOSTILE)
    failed = replace(run.calls[1], error=error)
    return replace(run, calls=(run.calls[0], failed, run.calls[2]))


def test_the_policy_forbids_every_request_and_passes_two_scripts_by_their_hashes() -> None:
    page = report_html(hostile())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(scripts) == 2
    for script in scripts:
        assert b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy


def test_no_text_becomes_an_element_or_an_attribute() -> None:
    page = Page(report_html(hostile()))
    harmless = Page(report_html(make_run(n=3, failing=[1])))
    assert page.tags() <= harmless.tags()
    names = {name for _, attributes in page.elements for name in attributes}
    assert names <= {
        *("lang", "charset", "http-equiv", "content", "name", "id", "class", "dir", "href", "role", "aria-label"),
        *("open", "scope", "data-name", "type"),
    }
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in page.elements)
    assert page.words.count(HOSTILE) >= 7  # title, heading, instructions, prompts, answer, sentence, words


def test_no_text_ends_the_data_of_the_chart() -> None:
    page = report_html(hostile())
    (told,) = re.findall(r'<script type="application/json" id="told">(.*?)</script>', page, re.S)
    assert "<" not in told
    assert json.loads(told)["config"]["showSendToCloud"] is False


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet=st.characters(categories=None), min_size=1, max_size=80))
def test_any_answer_can_be_encoded_and_is_there_as_it_is(output: str) -> None:
    html = answers(said(output))
    html.encode("utf-8")
    visible = "".join(letter for letter in output if letter.isprintable())
    words = Page(html).words
    assert all(letter in words for letter in visible if not 0xD800 <= ord(letter) <= 0xDFFF)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", html)


def test_the_dark_colours_are_the_same_figure_s() -> None:
    page = report_html(make_run(n=12, max_workers=2, failing=[2], retrying=[3], holds=[(0.5, "requests")]))
    (raw,) = re.findall(r'<script type="application/json" id="told">(.*?)</script>', page, re.S)
    told: dict[str, Any] = json.loads(raw)
    assert len(told["dark"]["data"]) == len(told["data"])
    assert set().union(*told["dark"]["data"]) <= {"marker", "line", "fillcolor", "textfont"}
    assert {theme(dark=True).text} == {
        trace["textfont"]["color"] for trace in told["dark"]["data"] if "textfont" in trace
    }
    assert told["layout"]["paper_bgcolor"] == theme().page
    assert told["dark"]["layout"]["paper_bgcolor"] == theme(dark=True).page
    colours = {trace["marker"]["color"] for trace in told["dark"]["data"] if "marker" in trace}
    assert colour("answered", dark=True) in colours


def test_it_says_what_the_page_says_settings_numbers_and_all() -> None:
    run = said("x", "x", None, retries=5, sandbox=SandboxProfile(seed=9), name="Nightly")
    words = Page(report_html(run)).words
    for expected in ("Nightly", "2 of 3 prompts answered", "Retries", "Sandbox: seed", "Simulated", "Quota slots"):
        assert expected in words
    assert "The provider answered 500." in words


def test_a_baseline_is_drawn_and_said() -> None:
    page = report_html(make_run(n=8), baseline=make_run(n=8, max_workers=1, run_id="alone"))
    assert "8 calls, 8 at a time" in page
    assert "One after another they took" in page


@pytest.mark.parametrize("at_s", [-1.0, 2.0, None])
def test_every_moment_of_a_run_has_its_report(at_s: float | None) -> None:
    page = Page(report_html(make_run(n=20, at_s=at_s)))
    assert sum(tag == "tr" for tag, _ in page.elements) == 21


def test_a_run_that_goes_on_is_reported_with_when_it_was_saved_and_with_what_waits() -> None:
    told = history(n=6, max_workers=2, retrying=[0])
    run = next(
        run for run in snapshots(told, [step / 50 for step in range(500)]) if run.calls[0].status == "backing_off"
    )
    at_ns = run.calls[0].attempts[0].ended_ns
    assert at_ns is not None
    words = Page(report_html(run, saved=Saved(at_s=1.8e9, now_ns=at_ns))).words
    assert "Saved 2027-01-15 08:00:00 UTC, while the run went on: what came later is not in here." in words
    assert re.search(r"Prompts 1 to 6, 2 in flight, \d waiting\b", words)
    assert "not answered" not in words
    over = Page(report_html(make_run(n=3, failing=[1]), saved=Saved(at_s=1.8e9, now_ns=0))).words
    assert "Saved" not in over
    assert "Prompts 1 to 3, 1 not answered" in over


def test_it_says_whose_it_is_and_its_tags_as_text() -> None:
    about = Saved(at_s=1.8e9, now_ns=0, owner=HOSTILE, tags=("nightly", HOSTILE))
    page = Page(report_html(make_run(n=3), saved=about))
    assert "A run of </script><img src=http" in page.words
    assert f"Tags: nightly, {HOSTILE}." in page.words
    assert page.tags() <= Page(report_html(make_run(n=3))).tags()
    assert "Taken in from a file by Anna." in report_html(
        make_run(n=3), saved=replace(about, owner="Anna", imported=True)
    )
    nobody = Page(report_html(make_run(n=3), saved=Saved(at_s=1.8e9, now_ns=0))).words
    assert "A run of" not in nobody
    assert "Tags" not in nobody


def test_many_answers_are_in_groups_that_open_and_few_are_open() -> None:
    many = Page(answers(make_run(n=250)))
    groups = [attributes for tag, attributes in many.elements if tag == "details"]
    assert len(groups) == 3
    assert not any("open" in group for group in groups)
    assert "Prompts 201 to 250" in many.words
    (few,) = [attributes for tag, attributes in Page(answers(make_run(n=GROUP))).elements if tag == "details"]
    assert "open" in few


def test_a_long_text_is_whole_behind_its_beginning() -> None:
    long = "word " * LONG_CHARACTERS
    html = answers(said(long))
    assert f"({len(long):,} characters)" in html
    assert long in html


def test_failures_are_told_by_cause_with_their_prompts() -> None:
    run = make_run(n=60, failing=range(50))
    html = failures(run)
    assert Page(html).words.count("The provider answered 500") == 2
    assert html.count('href="#p') == 40
    assert "and 5 more" in html
    assert failures(make_run(n=3)) == ""


def test_ten_thousand_calls_are_a_report_of_a_few_megabytes() -> None:
    page = report_html(make_run(n=10_000, max_workers=64, failing=0.02))
    assert len(page) < 16_000_000
    assert page.count('<tr id="p') == 10_000


def test_its_words_have_their_contrast_in_light_and_dark() -> None:
    def pair(name: str) -> list[str]:
        found = re.search(rf"--{name}: light-dark\((#\w{{6}}), (#\w{{6}})\)", CSS)
        assert found is not None, name
        return list(found.groups())

    assert pair("page") == [theme(dark=dark).page for dark in (False, True)]
    for name in ("text", "quiet", "accent-text", "alarm"):
        for word, page in zip(pair(name), pair("page"), strict=True):
            assert contrast(word, page) >= 4.5
    for word, block in zip(pair("text"), pair("block"), strict=True):
        assert contrast(word, block) >= 4.5
    assert "url(" not in CSS
    assert "@import" not in CSS


def test_each_answer_names_its_model_where_the_run_went_on_under_another() -> None:
    run = said("one", "two", prompts=["a", "b"])
    assert "by sandbox" not in Page(report_html(run)).words
    words = Page(report_html(went_on(run, {"model": f"openai:{HOSTILE}"}))).words
    assert words.count("by sandbox (simulated)") == 2
    assert f"2 prompts to sandbox, then openai:{HOSTILE}" in words
    assert "Simulated in part: the sandbox made some of these answers, no model did." in words
