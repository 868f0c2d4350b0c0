import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.word_diff import MOST_CHARACTERS, Difference, word_diff

WORDS = st.lists(st.sampled_from(["a", "b", "cat", ".", "你", "好", "\n", " ", "naïve"]), max_size=40).map("".join)


def marked(a: str, b: str) -> tuple[list[str], list[str]]:
    found = word_diff(a, b)
    return [piece.text for piece in found.a if piece.marked], [piece.text for piece in found.b if piece.marked]


def whole(found: Difference) -> tuple[str, str]:
    return "".join(piece.text for piece in found.a), "".join(piece.text for piece in found.b)


@given(WORDS | st.text(max_size=60), WORDS | st.text(max_size=60))
def test_the_pieces_are_the_texts_and_what_is_not_marked_is_in_both(a: str, b: str) -> None:
    found = word_diff(a, b)
    assert whole(found) == (a, b)
    shared = ["".join(piece.text for piece in side if not piece.marked) for side in (found.a, found.b)]
    assert shared[0] == shared[1]
    assert not found.cut


@given(WORDS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    assert marked(text, text) == ([], [])


def test_the_words_that_changed_are_marked_and_no_others() -> None:
    assert marked("the cat sat on it", "the dog sat on it") == (["cat "], ["dog "])
    assert marked("yes.", "no.") == (["yes"], ["no"])
    assert marked("", "new") == ([], ["new"])
    assert marked("one two", "one\ntwo") == (["one "], ["one\n"])


def test_scripts_without_spaces_are_compared_letter_by_letter() -> None:
    assert marked("今天天气很好", "今天天气不好") == (["很"], ["不"])


def test_a_long_text_is_compared_line_by_line_and_says_so() -> None:
    lines = [f"line {number} of it says what is so" for number in range(1_000)]
    other = [*lines]
    other[10], other[900] = "another", "and another"
    found = word_diff("\n".join(lines), "\n".join(other))
    assert found.by == "lines"
    assert [piece.text for piece in found.b if piece.marked] == ["another\n", "and another\n"]


def test_what_lies_behind_the_bound_is_left_out_and_said_to_be() -> None:
    found = word_diff("x" * (MOST_CHARACTERS + 1), "y")
    assert found.cut
    assert len(whole(found)[0]) == MOST_CHARACTERS


@pytest.mark.parametrize("times", [100, 240, 1_200, 20_000])
@pytest.mark.parametrize(
    ("one", "other"), [("a b ", "b a "), (". , ", ", . "), ("a a b ", "a b b "), ("a\nb\n", "b\na\n"), ("  ", " \t")]
)
def test_no_text_takes_long(one: str, other: str, times: int) -> None:
    began_s = time.process_time()
    found = word_diff(one * times + "x", "y" + other * times)
    assert time.process_time() - began_s < 5  # a tenth of a second as a rule; without a bound, minutes
    assert whole(found) == ((one * times + "x")[:MOST_CHARACTERS], ("y" + other * times)[:MOST_CHARACTERS])
