"""Two runs beside each other: the verdict is true, what changed is marked, every prompt is a press away."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, expect

from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.screen import NARROW, Screen
from tests.browser.journeys.test_access import serious
from tests.browser.journeys.test_hostile_text import HOSTILE, _harmless

Browse = Callable[..., Screen]
Profile = Callable[..., SandboxProfile]
PROMPTS = (
    *(f"Reply: word {n}" for n in range(4)),
    *(f"Describe the view from window {n} of the tower in a sentence or two" for n in range(8)),
)


def _run(screen: Screen, profile: SandboxProfile, *prompts: str, workers: int) -> str:
    screen.set_sandbox(profile)
    screen.type_prompts(*prompts)
    screen.slide("max_workers", workers)
    run_id = screen.run()
    screen.state("Done")
    return run_id


def _pair(screen: Screen) -> Locator:
    return screen.key("pair")


def _axis_ends(screen: Screen) -> list[list[float]]:
    return [
        [float(end) for end in ends]
        for ends in screen.page.evaluate(
            "[...document.querySelectorAll('.fo-gantt')].map((each) => each.chart.plot._fullLayout.xaxis.range)"
        )
    ]


def test_two_runs_are_compared_and_what_changed_is_marked(browse: Browse, profile: Profile) -> None:
    screen = browse()
    first, second = profile(first_token_ms=120.0, first_token_sigma=0.6), profile(first_token_ms=60.0)
    a = _run(screen, first, *PROMPTS, workers=2)
    screen.open("/")
    b = _run(screen, second, *PROMPTS, "Reply: only here", workers=6)
    screen.page.get_by_role("link", name="Compare with another run").click()
    screen.says("Choose the other run.")
    assert screen.page.url.endswith(f"/compare?b={b}")
    screen.page.get_by_label("Run A").click()
    screen.page.get_by_role("option", name=re.compile("12 of 12 answered.*max_workers 2")).first.click()
    screen.page.wait_for_url(re.compile(f"a={a}"))
    expect(screen.sentence).to_contain_text("12 prompts are in both, 1 only in B.")
    said = screen.sentence.inner_text()
    found = re.search(r"Of 12 answers, (\d) changed and (\d) (?:is|are) the same", said)
    assert found is not None, said
    changed, same = int(found[1]), int(found[2])
    assert (changed + same, same >= 4) == (12, True)
    expect(screen.page.locator("table.words").first).to_contain_text("max_workers")
    expect(screen.page.locator("table.words").first).to_contain_text("120 ms")
    expect(screen.page.locator(".fo-gantt .svg-container")).to_have_count(2)
    ends = _axis_ends(screen)
    assert ends[0] == ends[1]
    expect(screen.page.get_by_test_id("stPlotlyChart")).to_contain_text("B: 13 answers, half within")
    screen.shoot("compare", tall=2500)
    assert screen.overflow_px() == 0
    assert serious(screen) == []

    screen.page.get_by_role("radio", name="Changed only").click()
    screen.rows(changed)
    assert set(screen.column("answers")) == {"≠ changed"}
    screen.press_row(2)
    expect(_pair(screen).get_by_role("heading")).to_contain_text(re.compile(r"^Prompt \d+: the answer changed; B was "))
    expect(_pair(screen).locator("del, ins").first).to_be_visible()
    screen.shoot("compare-pair")
    assert serious(screen) == []
    screen.page.emulate_media(color_scheme="dark")
    assert serious(screen) == []
    screen.page.keyboard.press("Escape")
    expect(_pair(screen)).to_have_count(0)

    screen.press("Swap")
    screen.page.wait_for_url(re.compile(f"a={b}&b={a}|b={a}&a={b}"))
    expect(screen.sentence).to_contain_text("1 only in A.")
    screen.open(f"/compare?a={a}&b={b}")
    expect(screen.sentence).to_contain_text("1 only in B.")
    # On a page that is opened right here the chart's look comes along too, though other charts brought Plotly before.
    expect(screen.page.locator(".fo-legend button").first).to_have_css("border-top-width", "0px")


def test_an_address_that_names_no_run_gets_a_sentence(browse: Browse) -> None:
    screen = browse("/compare?a=0123456789abcdef&b=%3Cscript%3E", viewport=NARROW)
    screen.says("This run is not known here.")
    assert screen.overflow_px() == 0


def test_hostile_answers_are_compared_as_words(browse: Browse) -> None:
    screen = browse()
    runs = []
    for word in ("one", "two"):
        screen.open("/")
        screen.choose_model("openai-chat:echo")
        screen.more()
        screen.page.get_by_label("Name of the run").fill(f"{word} {HOSTILE}"[:200])
        screen.type_prompts(HOSTILE, f"pages {HOSTILE}")
        runs.append(screen.run())
        screen.counts("2 of 2 answered")
    screen.open(f"/compare?a={runs[0]}&b={runs[1]}")
    expect(screen.sentence).to_contain_text("All 2 answers are the same.")
    screen.rows(2)
    screen.press_row(0)
    expect(_pair(screen).locator(".pieces").first).to_have_text(HOSTILE)
    _harmless(screen)


def test_a_name_of_one_long_word_widens_no_narrow_page_and_every_choice_is_seen_whole(browse: Browse) -> None:
    screen, runs = browse(viewport=NARROW), []
    for letter in ("x", "y"):
        screen.open("/")
        screen.more()
        screen.page.get_by_label("Name of the run").fill(190 * letter)
        screen.type_prompts("Reply: one", "Reply: two")
        runs.append(screen.run())
        screen.state("Done")
    screen.open(f"/compare?a={runs[0]}&b={runs[1]}")
    choice = screen.page.get_by_role("radio", name=re.compile("Not both answered"))
    choice.scroll_into_view_if_needed()
    expect(choice).to_be_in_viewport(ratio=1)
    box = choice.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= NARROW["width"]
    assert screen.overflow_px() == 0
    screen.shoot("compare-long-name")
