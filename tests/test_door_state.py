import pytest

from dashboard.door.rules import Login, Policy, Turned
from dashboard.door.state import ASKED_FOR_S, ATTEMPTS, MOST, Asked, Attempts, Door, Ended, Leaving, Links, client_of
from tests.test_door_rules import ANNA, NOW_S, POLICY


class Time:
    """Moves when told."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("page", "query", "path"),
    [
        ("", {"run": "abc_-1"}, "/?run=abc_-1"),
        ("runs", {}, "/runs"),
        ("quota", {"run": "a", "link": "b"}, "/quota?run=a&link=b"),
        ("", {"run": "a", "next": "https://evil.org"}, "/?run=a"),
        ("compare", {"a": "1", "b": "2"}, "/compare?a=1&b=2"),
        ("runs", {"q": "two words, ü&", "sort": "-name"}, "/runs?q=two+words%2C+%C3%BC%26&sort=-name"),
        ("runs", {"q": "a\r\nSet-Cookie: x=1"}, "/runs"),
        ("", {"form": "ab12", "link": "t", "max_workers": "12"}, "/?link=t&form=ab12&max_workers=12"),
        ("", {"form": "new", "instructions": "a\nb", "temperature": ""}, "/?form=new&instructions=a%0Ab&temperature="),
        ("", {"form": "new", "instructions": "x" * 1_001, "model": "a\r\nb"}, "/?form=new"),
        ("//evil.org", {"run": "a"}, "/?run=a"),
        ("evil.org", {}, "/"),
        ("https://evil.org", {}, "/"),
        ("", {"run": "//evil.org"}, "/"),
        ("", {"run": "a b"}, "/"),
        ("", {"run": "a\r\nSet-Cookie: x=1"}, "/"),
        ("", {"run": ""}, "/"),
        ("", {"run": "x" * 129}, "/"),
        ("../media", {}, "/"),
    ],
)
def test_a_link_through_a_login_leads_to_our_own_pages_only(page: str, query: dict[str, str], path: str) -> None:
    assert Asked.of(page, query).path() == path


def test_a_link_is_kept_for_its_browser_once_and_for_a_while() -> None:
    time = Time()
    links = Links(time)
    links.keep("anna", Asked.of("", {"run": "a"}))
    links.keep("ben", Asked.of("", {"run": "b"}))
    links.keep("anna", Asked.of("", {"run": "c"}))
    assert links.take("anna") == Asked.of("", {"run": "c"})
    assert links.take("anna") is None
    time.now_s += ASKED_FOR_S
    assert links.take("ben") is None


def test_a_login_that_was_ended_is_woken_wherever_it_is_watched() -> None:
    ended = Ended(Time())
    woken: list[str] = []
    ended.watch("one", lambda: woken.append("first tab"))
    stop = ended.watch("one", lambda: woken.append("closed tab"))
    ended.watch("another", lambda: woken.append("somebody else"))
    stop()
    ended.end("one", until_s=NOW_S + 10)
    assert woken == ["first tab"]
    assert "one" in ended
    assert "another" not in ended


def test_what_would_have_ended_by_itself_is_forgotten() -> None:
    time = Time()
    ended = Ended(time)
    ended.end("old", until_s=NOW_S + 10)
    time.now_s += 10
    ended.end("new", until_s=NOW_S + 100)
    assert ("old" in ended, "new" in ended) == (False, True)


def test_the_door_turns_away_a_login_that_was_ended_and_no_other() -> None:
    door = Door(POLICY, now_s=Time())
    door.end(ANNA)
    assert door.judge(ANNA) == Turned(why="ended")
    assert not isinstance(door.judge({**ANNA, "nonce": "n2"}), Turned)
    door.end({})  # a logout of nobody ends nothing


def test_attempts_are_bounded_by_client_and_come_back_with_time() -> None:
    time = Time()
    attempts = Attempts(time)
    assert [attempts.wait_s("203.0.113.9") for _ in range(ATTEMPTS)] == [0.0] * ATTEMPTS
    assert attempts.wait_s("203.0.113.9") == 2.0
    assert attempts.wait_s("203.0.113.10") == 0.0
    time.now_s += 2.0
    assert attempts.wait_s("203.0.113.9") == 0.0
    assert attempts.wait_s("203.0.113.9") > 0


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("somebody", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_client_is_an_address_or_the_network_it_chooses_from(address: str | None, client: str) -> None:
    assert client_of(address) == client


def test_no_memory_grows_without_end() -> None:
    time = Time()
    ended, links, attempts, leaving = Ended(time), Links(time), Attempts(time), Leaving()
    for number in range(MOST + 10):
        ended.end(str(number), until_s=NOW_S + 10)
        links.keep(str(number), Asked.of("", {}))
        attempts.wait_s(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
        leaving.add(str(number))
    assert [len(each) for each in (ended._until, links._asked, attempts._left, leaving._keys)] == [MOST] * 4


def test_a_tab_that_leaves_is_asked_once() -> None:
    leaving = Leaving()
    leaving.add("tab")
    assert [leaving.discard("tab"), leaving.discard("tab"), leaving.discard("other")] == [True, False, False]


def test_a_new_door_remembers_nothing() -> None:
    assert not isinstance(
        Door(Policy(login=Login(redirect_uri="x"), members=("example.com",)), now_s=Time()).judge(ANNA), Turned
    )
