"""What the sandbox answers: echoes, labels, facts, and otherwise a sentence that says it is simulated."""

from __future__ import annotations

import pytest

from fanout.sandbox.answers import answer, tokens

SENTIMENT = "Classify the sentiment as positive, negative or neutral: "


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Reply: alpha", "alpha"),
        ("REPLY: two words", "two words"),
        ("reply with alpha", "alpha"),
        ("Reply with exactly: alpha", "alpha"),
        ('Please reply with the word "beta".', "beta"),
        ("Reply: line one\nline two", "line one\nline two"),
        ("Reply: مرحبا", "مرحبا"),
    ],
)
def test_an_echo_is_asked_and_given(prompt: str, expected: str) -> None:
    assert answer(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (SENTIMENT + "I love this phone, the camera is great.", "positive"),
        (SENTIMENT + "The parcel arrived broken and late.", "negative"),
        (SENTIMENT + "The parcel arrived on Tuesday.", "neutral"),
        (SENTIMENT + "It was not good at all.", "negative"),
        ("Sentiment (positive, negative, neutral): the waiter was rude", "negative"),
        ("Classify as Positive/Negative: a wonderful evening", "Positive"),
        ("Is this spam or ham? You WON a prize, click now!!", "spam"),
        ("Is this spam or ham? See you at lunch", "ham"),
        ("Labels: billing, shipping, other\nText: where is my shipping confirmation?", "shipping"),
    ],
)
def test_a_classification_answers_the_label_that_fits(prompt: str, expected: str) -> None:
    assert answer(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "labels"),
    [
        ("Answer yes or no: is the sky blue?", {"yes", "no"}),
        ("Is 7 a prime number? Answer with yes or no.", {"yes", "no"}),
        ("True or false: whales are fish.", {"True", "false"}),
        ("Choose one of: red, green, blue. The colour of grass?", {"red", "green", "blue"}),
        ("Sort into one of [bug, feature request, question]: add dark mode", {"bug", "feature request", "question"}),
        ("Is the tone formal or informal? Hey dude", {"formal", "informal"}),
        ("Rate the urgency as low, medium, or high: the office is on fire", {"low", "medium", "high"}),
    ],
)
def test_a_classification_answers_exactly_one_of_its_labels(prompt: str, labels: set[str]) -> None:
    for seed in range(20):
        assert answer(prompt, seed=seed) in labels


def test_labels_may_stand_in_the_instructions() -> None:
    instructions = "You classify reviews. Answer with exactly one of: positive, negative, neutral."
    assert answer("The delivery was late and the box damaged", instructions=instructions) == "negative"
    assert answer("Reply: alpha", instructions=instructions) == "alpha"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What is 17 * 23?", "391"),
        ("What is 17 x 23?", "391"),
        ("what is 12 times 12", "144"),
        ("(2 + 3) * 4 - 1", "19"),
        ("2^10", "1024"),
        ("What is 7 / 2?", "3.5"),
        ("What is 15% of 80?", "12"),
        ("What is 1,000 + 1?", "1001"),
        ("What is the capital of France?", "Paris"),
        ("Capital city of the Netherlands?", "Amsterdam"),
        ("Who wrote Hamlet?", "William Shakespeare"),
        ("How many continents are there?", "7"),
    ],
)
def test_a_short_fact_is_right(prompt: str, expected: str) -> None:
    assert answer(prompt) == expected


@pytest.mark.parametrize(
    "prompt", ["1/0", "9^9^9^9", "2024-05-01", "42", "", " ", "(((((", "What is the capital of Oz?"]
)
def test_what_it_does_not_know_it_says_is_simulated(prompt: str) -> None:
    assert "simulated answer" in answer(prompt)


def test_an_explanation_is_longer_than_a_fact_and_has_its_own_length() -> None:
    lengths = {len(tokens(answer(f"Explain point {n} of the plan in detail."))) for n in range(40)}
    assert min(lengths) >= 60
    assert max(lengths) <= 150
    assert len(lengths) > 10
    assert len(tokens(answer("Explain DNS in one sentence."))) < 30
    assert len(tokens(answer("Write about rain in 40 words."))) == 40


def test_the_same_question_has_the_same_answer() -> None:
    assert answer("Describe a lighthouse", seed=3) == answer("Describe a lighthouse", seed=3)


@pytest.mark.parametrize("text", ["one", "a b  c", "x" * 100, "漢字" * 20, "two\nlines", ""])
def test_tokens_joined_are_the_text_again(text: str) -> None:
    assert "".join(tokens(text)) == text
