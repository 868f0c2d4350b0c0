"""What was spent, written with the events that say so: a row a run and day, in the same transaction.

Comes in: events as they are committed. Goes out: rows of `spend`, and sums of a day by user. An answer counts on the
day on which it came, once, whatever became of its run: a process that is killed loses neither both nor one of the two.
What was put in from a file was paid for elsewhere and does not come here.

All of it is the writer's thread's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fanout.clock import NS_PER_S, Clock
from fanout.events import Event, Succeeded
from fanout.quota.caps import Amount, day_of
from fanout.quota.estimate import CHARACTERS_A_TOKEN
from fanout.store.database import Database, Execute
from fanout.store.tables import SPEND

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one run used on one day."""

    day: str
    run_id: str
    user_id: str
    amount: Amount


class Spending:
    """The table of one process's database, and what this process has told it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """`clock`: the one that events' instants are of."""
        self._clock = clock
        self._told: dict[str, dict[str, Amount]] = {}  # by day, by user
        insert = (sqlite.insert if database.is_sqlite else postgresql.insert)(SPEND)
        upsert = insert.on_conflict_do_update(
            index_elements=["day", "run_id"],
            set_={name: SPEND.c[name] + insert.excluded[name] for name in ("tokens", "cost_usd")},
        )
        compiled = upsert.compile(dialect=database.writer.dialect)
        # As it is, without SQLAlchemy's work a statement: this is done at every commit with an answer in it.
        self._upsert = str(compiled)
        self._positions = getattr(compiled, "positiontup", None)

    def of(self, run_id: str, user_id: str, prompts: Sequence[str], events: Iterable[Event]) -> tuple[Spent, ...]:
        """What these events say was used, by day."""
        now_ns, now_s = self._clock.now_ns(), time.time()
        tokens: dict[int, int] = {}  # by the number of the day: an answer costs no date and no Amount of its own
        usd: dict[int, float] = {}
        for event in events:
            if type(event) is Succeeded:
                day = int((now_s - max(0, now_ns - event.at_ns) / NS_PER_S) // DAY_S)
                tokens[day] = tokens.get(day, 0) + tokens_of(event, prompts[event.call])
                usd[day] = usd.get(day, 0.0) + (event.cost_usd or 0.0)
        return tuple(
            Spent(
                day=day_of(day * DAY_S), run_id=run_id, user_id=user_id, amount=Amount(tokens=tokens[day], usd=usd[day])
            )
            for day in tokens
            if tokens[day] or usd[day]
        )

    def write(self, execute: Execute, spent: Iterable[Spent]) -> None:
        """Add these to their rows; tell `told` once it is committed."""
        for each in spent:
            values = {
                "day": each.day,
                "run_id": each.run_id,
                "user_id": each.user_id,
                "tokens": each.amount.tokens,
                "cost_usd": each.amount.usd,
            }
            given = values if self._positions is None else tuple(values[name] for name in self._positions)
            execute(self._upsert, given)

    def told(self, spent: Iterable[Spent]) -> None:
        """These are committed."""
        for each in spent:
            if each.day not in self._told:
                today = day_of(time.time())
                self._told = {day: of for day, of in self._told.items() if day >= today}
            users = self._told.setdefault(each.day, {})
            users[each.user_id] = users.get(each.user_id, Amount()) + each.amount

    def told_of(self, day: str) -> Mapping[str, Amount]:
        """What this process has told of this day, by user."""
        return dict(self._told.get(day, {}))


def tokens_of(event: Succeeded, prompt: str) -> int:
    """Input and output as the provider counted them; four characters are a token where it did not."""
    usage = event.usage
    taken = _by_characters(prompt) if usage.input_tokens is None else usage.input_tokens
    given = _by_characters(event.output) if usage.output_tokens is None else usage.output_tokens
    return taken + given


def sums(connection: sa.Connection, day: str) -> dict[str, Amount]:
    """What all processes have told of this day, by user."""
    found = connection.execute(
        sa.select(SPEND.c.user_id, sa.func.sum(SPEND.c.tokens), sa.func.sum(SPEND.c.cost_usd))
        .where(SPEND.c.day == day)
        .group_by(SPEND.c.user_id)
    )
    return {user_id: Amount(tokens=int(tokens), usd=float(usd)) for user_id, tokens, usd in found}


def _by_characters(text: str) -> int:
    return -(-len(text) // CHARACTERS_A_TOKEN)
