import pytest

from dashboard import starting
from fanout.errors import NotAllowed
from fanout.people import LOCAL, Person

OFFERED = ("openai:small",)


@pytest.mark.parametrize("model", ["sandbox", "openai:small", "openai:huge"])
def test_the_start_holds_everybody_to_their_role(model: str) -> None:
    starting.check(LOCAL, model, offered=OFFERED)
    with pytest.raises(NotAllowed, match="viewers read runs"):
        starting.check(Person(user_id="v", name="V", role="viewer"), model, offered=OFFERED)


def test_members_start_what_is_offered_and_are_told_what_that_is() -> None:
    member = Person(user_id="m", name="M", role="member")
    starting.check(member, "sandbox", offered=OFFERED)
    starting.check(member, "openai:small", offered=OFFERED)
    with pytest.raises(NotAllowed, match=r"sandbox, openai:small\), got 'openai:huge'"):
        starting.check(member, "openai:huge", offered=OFFERED)
