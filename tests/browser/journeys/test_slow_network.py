"""A slow or broken network: what is pressed before the page could follow, and what could not be had at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, FilePayload, Locator, Route, WebSocketRoute, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from fanout.archive import export_run
from fanout.events import RunOpened
from fanout.sandbox.profile import SandboxProfile
from tests.browser.journeys.screen import Screen
from tests.browser.serving import Served
from tests.runs import history

Browse = Callable[..., Screen]
Profiles = Callable[..., BrowserContext]
STOP = b"strip_stop"
"""Part of what draws a run that goes on."""
APPLY = b"sandbox_apply"
"""Part of what draws the sandbox's form."""
FORM = b"Parted by"
"""Part of what draws the form."""
SETTINGS = b"Other settings"
"""Part of what draws a run that can go on."""
WHERE_TO = b"/_stcore/upload_file/"
"""Part of what answers where a file is to go."""


class Slow:
    """The way from the server to a tab, which can be held up. What the tab sends goes through at once."""

    def __init__(self, context: BrowserContext) -> None:
        self._held: list[str | bytes] | None = None
        self._hold_after: bytes | None = None
        self._hold_before: bytes | None = None
        self._lose: bytes | None = None
        self._lose_times = 0
        self._route: WebSocketRoute | None = None
        context.route_web_socket("**/_stcore/stream", self._connect)

    def _connect(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        server.on_message(self._deliver)
        self._route = route

        def send(message: str | bytes) -> None:
            if self._hold_after is not None and self._hold_after in _as_bytes(message):
                self.hold()
            server.send(message)

        route.on_message(send)

    def _deliver(self, message: str | bytes) -> None:
        assert self._route is not None
        if self._lose_times and self._lose is not None and self._lose in _as_bytes(message):
            self._lose_times -= 1
            return
        if self._hold_before is not None and self._hold_before in _as_bytes(message):
            self.hold()
        if self._held is None:
            self._route.send(message)
        else:
            self._held.append(message)

    def hold(self) -> None:
        self._hold_after = self._hold_before = None
        self._held = []

    def hold_after(self, words: bytes) -> None:
        """From when the tab says this."""
        self._hold_after = words

    def hold_before(self, words: bytes) -> None:
        """From when the server says this."""
        self._hold_before = words

    def lose(self, words: bytes, *, times: int) -> None:
        """The next messages with these words never arrive."""
        self._lose, self._lose_times = words, times

    def wait_for(self, words: bytes, screen: Screen, *, times: int = 1) -> None:
        """Wait until so many of the messages held up have these words."""
        assert self._held is not None
        found = 0
        while found < times:
            screen.page.evaluate("new Promise((done) => requestAnimationFrame(done))")
            found = sum(words in _as_bytes(each) for each in self._held)

    def wait_until_drawn(self, words: bytes, screen: Screen) -> int:
        """Wait until a drawing that has these words is held up whole; gives how many messages are by then."""
        self.wait_for(words, screen)
        while True:
            assert self._held is not None
            begun = next(place for place, each in enumerate(self._held) if words in _as_bytes(each))
            if any(_ends_a_drawing(each) for each in self._held[begun:]):
                return len(self._held)
            screen.page.evaluate("new Promise((done) => requestAnimationFrame(done))")

    def release(self, *, first: int | None = None) -> None:
        """Let through what was held up; of that so many messages, and go on holding up the rest."""
        assert self._route is not None
        assert self._held is not None
        released = self._held[:first]
        self._held = None if first is None else self._held[first:]
        for message in released:
            self._route.send(message)


def _as_bytes(message: str | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.encode()


def _ends_a_drawing(message: str | bytes) -> bool:
    return bool(ForwardMsg.FromString(_as_bytes(message)).WhichOneof("type") == "script_finished")


def test_run_pressed_twice_before_the_page_could_follow_shows_the_one_run_that_was_started(
    dashboard: Served, profiles: Profiles, shots: Path, profile: Callable[..., SandboxProfile]
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen = Screen(context.new_page(), dashboard.url, shots).open()
    screen.set_sandbox(profile(hang_rate=1.0))
    screen.type_prompts("Reply: pressed twice", "Reply: and paid once")
    screen.quiet()
    slow.hold()
    screen.run_button.click()
    slow.wait_for(STOP, screen)
    screen.run_button.click()
    slow.wait_for(STOP, screen, times=2)
    slow.release()
    run_id = screen.shown_run()
    screen.counts("0 of 2 answered, 2 in flight")
    screen.quiet()
    expect(screen.run_button).to_have_count(0)
    assert screen.shown_run() == run_id
    screen.press("Stop")
    screen.state("Stopped")
    screen.edit_again()
    expect(screen.run_button).to_be_visible()
    expect(screen.prompts).to_have_value("Reply: pressed twice\nReply: and paid once")
    expect(screen.page.get_by_role("link", name=re.compile("0 of 2 answered"))).to_have_count(1)


def test_nothing_can_be_typed_into_a_form_that_the_tab_has_handed_back_and_the_page_will_fill(
    dashboard: Served, profiles: Profiles, shots: Path
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen = Screen(context.new_page(), dashboard.url, shots).open()
    screen.type_prompts("handed back")
    screen.says("1 call, 1 quota slot")
    main = screen.page.locator(".stMain")
    slow.hold_after(b"handed back")
    screen.page.reload()
    expect(main).to_have_js_property("inert", True)
    expect(screen.prompts).to_have_value(re.compile("^(?!handed back)"))
    slow.release()
    screen.says(re.compile("^The form is as you left it"))
    expect(main).to_have_js_property("inert", False)
    expect(screen.prompts).to_have_value("handed back")
    screen.type_prompts("typed", "afterwards")
    screen.says("2 calls, 2 quota slots, all at once")


def test_a_page_that_is_gone_to_at_once_is_not_left_for_the_form_that_the_tab_hands_back(
    dashboard: Served, profiles: Profiles, shots: Path
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen = Screen(context.new_page(), dashboard.url, shots).open()
    screen.type_prompts("gone from")
    screen.says("1 call, 1 quota slot")
    screen.page.wait_for_function("() => sessionStorage.getItem('fanout-form')?.includes('gone from')")
    slow.hold_before(b"kept_form")
    screen.page.reload()
    screen.page.get_by_role("link", name="Sandbox", exact=True).click()
    slow.wait_for(b"kept_form", screen)
    slow.release()
    screen.says("Requests a minute")
    screen.quiet()
    expect(screen.page.get_by_label("Seed", exact=True)).to_be_editable()
    expect(screen.page.locator(".stMain")).to_have_js_property("inert", False)
    screen.go_to("Run")
    screen.says(re.compile("^The form is as you left it"))
    expect(screen.prompts).to_have_value("gone from")


def test_a_page_that_is_gone_to_is_not_left_for_the_form_whose_filling_is_heard_of_only_then(
    dashboard: Served, profiles: Profiles, shots: Path
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen = Screen(context.new_page(), dashboard.url, shots).open()
    screen.type_prompts("gone while filled")
    screen.says("1 call, 1 quota slot")
    screen.page.wait_for_function("() => sessionStorage.getItem('fanout-form')?.includes('gone while filled')")
    slow.hold_after(b"gone while filled")
    screen.page.reload()
    expect(screen.page.locator(".stMain")).to_have_js_property("inert", True)
    filled = slow.wait_until_drawn(b"gone while filled", screen)
    screen.page.get_by_role("link", name="Sandbox", exact=True).click()
    slow.wait_until_drawn(APPLY, screen)
    slow.release(first=filled)
    expect(screen.prompts).to_have_value("gone while filled")
    expect(screen.page.locator(".stMain")).to_have_js_property("inert", False)  # it would have been said by now
    slow.release()
    screen.says("Requests a minute")
    screen.quiet()
    expect(screen.page.get_by_label("Seed", exact=True)).to_be_editable()
    screen.page.wait_for_url(re.compile("/sandbox$"))


def test_what_the_chart_is_made_of_is_asked_for_again_where_it_could_not_be_had(
    dashboard: Served, profiles: Profiles, shots: Path, profile: Callable[..., SandboxProfile]
) -> None:
    context = profiles(dashboard.url, server_may_be_lost=True)
    screen = Screen(context.new_page(), dashboard.url, shots)
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if name in refused:
            route.fallback()
        else:
            refused.append(name)
            route.abort("connectionrefused")

    for name in ("gantt.js", "model.js", "plotly.min.js", "gantt.css", "history.js"):
        context.route(f"**/assets/**/{name}", refuse_once)
    screen.open()
    screen.set_sandbox(profile())
    screen.type_prompts("Reply: drawn in the end")
    run_id = screen.run()
    screen.state("Done")
    screen.chart.drawn()
    expect(screen.page.locator(".fo-gantt .main-svg").first).to_be_visible()
    screen.go_to("Runs")
    expect(screen.page.locator("table.history")).to_contain_text(run_id[:8])
    assert sorted(refused) == ["gantt.css", "gantt.js", "history.js", "model.js", "plotly.min.js"]


_DROP = """(zone, [name, text]) => {
  const dataTransfer = new DataTransfer()
  dataTransfer.items.add(new File([text], name))
  zone.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer }))
}"""


def _choose(zone: Locator, name: str, text: str) -> None:
    file = FilePayload(name=name, mimeType="text/plain", buffer=text.encode())
    zone.locator("input[type=file]").set_input_files(file)


def _drop(zone: Locator, name: str, text: str) -> None:
    zone.get_by_test_id("stFileUploaderDropzone").evaluate(_DROP, [name, text])


@pytest.mark.parametrize("give", [_choose, _drop])
def test_a_file_that_the_server_does_not_say_where_to_send_arrives_all_the_same(
    dashboard: Served, profiles: Profiles, shots: Path, give: Callable[[Locator, str, str], None]
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen = Screen(context.new_page(), dashboard.url, shots).open()
    screen.choose("Prompts", "File")
    zone = screen.key("prompts_file")
    slow.lose(WHERE_TO, times=1)
    give(zone, "first.txt", "Reply: one\nReply: two")
    screen.says("2 calls, 2 quota slots")
    slow.lose(WHERE_TO, times=2)
    give(zone, "second.txt", "Reply: three\nReply: four\nReply: five")  # it takes the place of the first
    screen.says("3 calls, 3 quota slots")
    expect(zone.get_by_test_id("stFileChip")).to_have_count(1)
    expect(screen.alert).to_have_count(0)


def test_a_file_that_did_not_arrive_is_said_to_be_dropped_again(
    dashboard: Served, profiles: Profiles, shots: Path
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen = Screen(context.new_page(), dashboard.url, shots).open()
    screen.choose("Prompts", "File")
    zone = screen.key("prompts_file")
    slow.lose(WHERE_TO, times=3)
    _drop(zone, "lost.txt", "Reply: one\nReply: two\nReply: three")
    expect(screen.alert).to_have_text("The file did not reach the server. Drop it once more.")
    screen.shoot("file-lost")
    _drop(zone, "lost.txt", "Reply: one\nReply: two\nReply: three")
    expect(screen.alert).to_have_count(0)
    screen.says("3 calls, 3 quota slots")


def test_a_run_file_that_the_server_does_not_say_where_to_send_is_taken_in_all_the_same(
    dashboard: Served, profiles: Profiles, shots: Path
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen, run_id = Screen(context.new_page(), dashboard.url, shots).open("/runs"), "0a1b2c3d4e5f6073"
    screen.press(re.compile("Import"))
    slow.lose(WHERE_TO, times=1)
    opened, *rest = history(n=6, max_workers=2, run_id=run_id)
    assert isinstance(opened, RunOpened)
    text = export_run((replace(opened, opened_at_s=1.7e9), *rest))  # older than what other journeys start here
    _choose(screen.page.get_by_test_id("stFileUploader"), "mine.txt", text)
    assert screen.shown_run() == run_id


def test_settings_that_are_opened_while_the_page_is_drawn_without_them_show_what_will_be_sent(
    dashboard: Served, profiles: Profiles, shots: Path, profile: Callable[..., SandboxProfile]
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen = Screen(context.new_page(), dashboard.url, shots).open()
    screen.set_sandbox(profile(hang_rate=1.0))
    screen.type_prompts("Reply: opened twice")
    screen.run()
    screen.counts("0 of 1 answered, 1 in flight")
    screen.press("Stop")
    screen.state("Stopped")
    screen.press("Other settings")
    screen.number("Retries", 7)
    screen.says("From here on: Retries 7 instead of 2.")
    screen.number("Requests a minute", 50)
    screen.says(re.compile("From here on: .*50"))
    screen.quiet()
    slow.hold()
    screen.press("Other settings")
    expect(screen.page.get_by_test_id("stPopoverBody")).to_have_count(0)
    without = slow.wait_until_drawn(SETTINGS, screen)
    screen.press("Other settings")
    expect(screen.page.get_by_test_id("stPopoverBody")).to_have_count(1)
    slow.wait_for(SETTINGS, screen, times=2)
    slow.release(first=without)
    expect(screen.page.get_by_label("Requests a minute", exact=True)).to_have_count(0)
    slow.release()
    screen.quiet()
    retries, a_minute = (screen.page.get_by_label(name, exact=True) for name in ("Retries", "Requests a minute"))
    expect(retries).to_have_value("7")
    expect(a_minute).to_have_value("50")
    retries.fill("6")
    retries.blur()
    screen.says(re.compile("From here on: .*Retries 6 instead of 2"))
    expect(a_minute).to_have_value("50")
    screen.quiet()
    screen.press("Other settings")
    expect(screen.page.get_by_test_id("stPopoverBody")).to_have_count(0)
    screen.quiet()
    screen.press("Other settings")
    expect(retries).to_have_value("6")


def test_the_form_is_as_it_was_where_another_page_was_gone_to_and_left_at_once(
    dashboard: Served, profiles: Profiles, shots: Path
) -> None:
    context = profiles(dashboard.url)
    slow = Slow(context)
    screen = Screen(context.new_page(), dashboard.url, shots).open()
    screen.type_prompts("gone and come back")
    screen.more()
    screen.number("Retries", 7)
    screen.number("Requests a minute", 50)
    screen.says("1 call, 1 quota slot")
    screen.quiet()
    slow.hold()
    screen.page.get_by_role("link", name="Sandbox", exact=True).click()
    elsewhere = slow.wait_until_drawn(APPLY, screen)
    screen.page.get_by_role("link", name="Run", exact=True).click()
    slow.wait_for(FORM, screen)
    slow.release(first=elsewhere)
    screen.says("Never answered, %")
    slow.release()
    screen.quiet()
    expect(screen.prompts).to_have_value("gone and come back")
    screen.more()
    expect(screen.page.get_by_label("Retries", exact=True)).to_have_value("7")
    expect(screen.page.get_by_label("Requests a minute", exact=True)).to_have_value("50")
