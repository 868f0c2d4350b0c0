"""What a cap in dollars means where nobody knows a price, before anything is sent."""

from __future__ import annotations

from dashboard.prospect_words import unpriced_words
from fanout.batch import Batch
from fanout.tuning.priced import has_unpriced
from fanout.tuning.prospect import Prospect
from tests.happened import run_of
from tests.test_metrics import answered


def test_an_answer_without_a_price_is_its_own_models() -> None:
    run = run_of(2, answered(0, 0, 100))
    assert has_unpriced(run, "sandbox")
    assert not has_unpriced(run, "openai:other")
    assert not has_unpriced(run_of(2), "sandbox")


def test_the_form_says_when_the_run_pauses() -> None:
    capped, unknown = Batch(prompts=["a"], cap_usd=1.0), Prospect(is_priced=False)
    assert unpriced_words(capped, unknown) == (
        "The price of sandbox is not known here, so nobody can count dollars: one call goes first, and the run pauses "
        "after it and asks, unless its answer has a price. A cap in tokens is counted."
    )
    assert unpriced_words(capped, Prospect(), has_unpriced=True) == (
        "The price of sandbox is not known here, so nobody can count dollars: the run pauses before its next call and "
        "asks, unless it was told to go on without the cap. A cap in tokens is counted."
    )
    assert unpriced_words(capped, Prospect()) is None
    assert unpriced_words(Batch(prompts=["a"]), unknown, has_unpriced=True) is None
