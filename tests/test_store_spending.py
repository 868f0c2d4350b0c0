"""What was spent is stored with the answers that it was spent on: once, on its day, whatever became of the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fanout.archive import export_run
from fanout.batch import Batch
from fanout.engine import Engine
from fanout.library import Library
from fanout.people import LOCAL, Person
from fanout.quota.caps import Amount, CapIsReached, Caps, DayCap, day_of
from fanout.settings import Settings
from fanout.store.database import open_database
from fanout.store.ledger import Ledger
from fanout.store.sql import SqlStore
from tests.hands import WAIT_S, HandCaller
from tests.stores import Kept, asked, eventually, refusing

ANNA = Person(user_id="a", name="Anna", email="anna@example.com")
ROOT = Path(__file__).parent.parent
ROWS = "SELECT run_id, user_id, tokens, cost_usd FROM spend ORDER BY run_id, day"


def test_an_answer_is_spent_in_the_transaction_that_keeps_it(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(3)
        kept.sent_for(0).answer(output_tokens=7, cost_usd=0.25)
        eventually(lambda: live.snapshot().calls[0].status == "answered")
        assert asked(database_url, ROWS) == [(live.run_id, "local", 10, 0.25)]
        kept.sent_for(1).answer(output_tokens=None, output="four letters here")  # nobody counted: 17 characters are 5
        kept.sent_for(2).answer(cost_usd=0.5)
        assert live.wait(WAIT_S)
        assert asked(database_url, ROWS) == [(live.run_id, "local", 10 + 8 + 4, 0.75)]


def test_a_run_that_is_gone_on_with_elsewhere_counts_each_answer_once(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.start(3, max_workers=1)
        kept.sent(0).answer(cost_usd=1.0)
        eventually(lambda: live.snapshot().calls[0].status == "answered")
        kept.die()
        with Kept(database_url) as other:
            resumed = other.engine.resume(live.run_id)
            other.sent(0).answer(cost_usd=1.0)
            other.sent(1).answer(cost_usd=1.0)
            assert resumed.wait(WAIT_S)
            assert asked(database_url, ROWS) == [(live.run_id, "local", 12, 3.0)]


def test_what_the_store_could_not_take_is_spent_once_it_can(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fanout.store.writer.AGAIN_S", 0.02)
    with Kept(database_url) as kept:
        live = kept.start(1)
        kept.sent(0)
        with refusing(database_url, "spend"):
            kept.sent(0).answer(cost_usd=1.0)
            eventually(lambda: kept.store.trouble)
            assert live.snapshot().calls[0].status != "answered"  # neither the answer is kept nor its price
        assert live.wait(WAIT_S)
        assert asked(database_url, ROWS) == [(live.run_id, "local", 4, 1.0)]


def test_each_answer_is_of_the_day_on_which_it_came(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offset_s = [86_399.0 - time.time()]
    real = time.time
    monkeypatch.setattr("fanout.store.spending.time.time", lambda: real() + offset_s[0])
    with Kept(database_url) as kept:
        live = kept.start(2, max_workers=1)
        kept.sent(0).answer(cost_usd=1.0)
        eventually(lambda: live.snapshot().calls[0].status == "answered")
        offset_s[0] += 86_400.0
        kept.sent(1).answer(cost_usd=2.0)
        assert live.wait(WAIT_S)
    days = asked(database_url, "SELECT day, cost_usd FROM spend ORDER BY day")
    assert days == [("1970-01-01", 1.0), ("1970-01-02", 2.0)]


def test_what_was_put_in_from_a_file_was_paid_for_elsewhere(fresh_url: Callable[[], str]) -> None:
    first, second = fresh_url(), fresh_url()
    with Kept(first) as kept:
        live = kept.answered(2)
        text = export_run(kept.stored(live.run_id))
    with Kept(second) as kept:
        kept.library.put_in(LOCAL, text)
        assert kept.store.flush(WAIT_S)
    assert asked(second, ROWS) == []


def test_a_deleted_run_was_paid_for_all_the_same(database_url: str) -> None:
    with Kept(database_url) as kept:
        live = kept.answered(1)
        eventually(lambda: kept.shelf.find(LOCAL, live.run_id).state == "ended")
        kept.library.delete(LOCAL, live.run_id)
    assert len(asked(database_url, ROWS)) == 1


class Office:
    """One process's library over this database, with caps, its calls finished by hand."""

    def __init__(self, url: str, caps: Caps) -> None:
        self.ledger = Ledger(caps)
        self.store = SqlStore(open_database(url), ledger=self.ledger)
        self.callers: list[HandCaller] = []
        self.engine = Engine(store=self.store, caller_for=self._caller, ledger=self.ledger)
        self.library = Library(Settings(caps=caps), engine=self.engine)
        self.library._store, self.library._ledger = self.store, self.ledger

    def _caller(self, batch: Batch, clock: object) -> HandCaller:
        self.callers.append(HandCaller())
        return self.callers[-1]

    def __enter__(self) -> Office:
        return self

    def __exit__(self, *_: object) -> None:
        self.library.close()


def test_processes_that_share_a_store_share_a_users_cap(database_url: str) -> None:
    caps = Caps(each_user=DayCap(usd_a_day=1.0))
    with Office(database_url, caps) as one, Office(database_url, caps) as other:
        live = one.library.start(Batch(prompts=["a", "b", "c"], max_workers=1), by=ANNA)
        elsewhere = other.library.start(Batch(prompts=["a", "b", "c"], max_workers=1), by=ANNA)
        one.callers[0].taken(1)[0].answer(cost_usd=0.4)
        one.callers[0].taken(2)[1].answer(cost_usd=0.4)
        eventually(lambda: other.ledger.of_user(ANNA).used == Amount(tokens=8, usd=0.8))
        other.callers[0].taken(1)[0].answer(cost_usd=0.4)
        for run in (live, elsewhere):
            eventually(lambda run=run: run.snapshot().cap)  # type: ignore[misc]  # 0.4 more would be too much
            assert run.snapshot().cap.of == "user"  # type: ignore[union-attr]  # it is there
        assert (one.callers[0].count, other.callers[0].count) == (2, 1)
        with pytest.raises(CapIsReached, match=r"Your cap of today is reached: \$1.20 of \$1.00 used"):
            one.library.start(Batch(prompts=["d"]), by=ANNA)
        assert len(one.callers) == 1  # nothing was even made ready
        today = one.library.today(ANNA)
        assert today is not None
        assert today[0].used.usd == pytest.approx(1.2)
        one.library.start(Batch(prompts=["d"]))  # somebody else


def test_who_goes_on_with_a_run_at_its_cap_is_refused(database_url: str) -> None:
    with Office(database_url, Caps(each_user=DayCap(tokens_a_day=4))) as one:
        live = one.library.start(Batch(prompts=["a" * 4, "b"], max_output_tokens=1, max_workers=1), by=ANNA)
        eventually(lambda: live.snapshot().state == "paused")  # the first call may need more than the cap
        live.cancel()
        assert live.wait(WAIT_S)
        assert one.store.flush(WAIT_S)
        told = Amount(tokens=4)
        one.ledger.hear(day_of(time.time()), {"a": told}, {})
        one.ledger.check("local", LOCAL)
        with pytest.raises(CapIsReached):
            one.ledger.check("a", LOCAL)


PROCESS = """
import sys
from fanout.batch import Batch
from fanout.library import Library
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import Settings
with Library(Settings()) as library:
    fast = SandboxProfile(first_token_ms=5, first_token_sigma=0, token_ms=0)
    live = library.start(Batch(prompts=[f"Reply: {n}" for n in range(4000)], max_workers=16, sandbox=fast))
    for result in live.as_completed():
        print(result.index, flush=True)
"""


def test_killed_at_any_instant_what_is_answered_is_what_is_spent(tmp_path: Path) -> None:
    environment = {**os.environ, "FANOUT_DATA_DIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", PROCESS], stdout=subprocess.PIPE, text=True, env=environment) as one:
        assert one.stdout is not None
        for _ in range(60):
            one.stdout.readline()
        one.send_signal(signal.SIGKILL)
        one.stdout.read()
    with Library(Settings(data_dir=tmp_path)) as library:
        (row,) = library.newest(LOCAL, 5)
        run = library.find(LOCAL, row.run_id).run.snapshot()
        used = [call.usage for call in run.calls if call.status == "answered"]
        tokens = sum((usage.input_tokens or 0) + (usage.output_tokens or 0) for usage in used)
        assert len(used) >= 60
        with open_database(f"sqlite:///{tmp_path}/fanout.db").read() as connection:
            assert (
                json.loads(json.dumps(connection.exec_driver_sql("SELECT sum(tokens) FROM spend").scalar())) == tokens
            )


def test_a_days_cap_stops_a_command_and_refuses_the_next_one(tmp_path: Path) -> None:
    caps = json.dumps({"local": {"tokens_a_day": 600}})
    environment = {**os.environ, "FANOUT_DATA_DIR": str(tmp_path), "FANOUT_CAPS": caps}
    command = [sys.executable, "-m", "fanout", "run", "-", "--max-workers", "2", "--max-output-tokens", "200"]
    prompts = "".join(f"Reply: {'word ' * 200}{number}\n" for number in range(20))
    first, second = (
        subprocess.run(command, input=prompts, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=100)
        for _ in range(2)
    )
    assert first.returncode == 1
    assert "Stopped. Your cap of today is reached:" in first.stderr
    assert "python -m fanout resume" in first.stderr
    if second.returncode == 2:  # all of it was used
        assert "fanout: Your cap of today is reached:" in second.stderr
        assert second.stdout == ""
    else:  # what is left is less than a call
        assert "and the next call is expected to use" in second.stderr
        assert "answered" not in second.stdout
    (row,) = asked(f"sqlite:///{tmp_path}/fanout.db", "SELECT sum(tokens) FROM spend")
    assert 0 < row[0] <= 600 + 2 * 600
