"""One quota that the processes of several hosts share through the store's PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from fanout.batch import Batch
from fanout.clock import NS_PER_S
from fanout.engine import Engine
from fanout.library import Library
from fanout.quota.account import Account
from fanout.quota.bucket import NS_PER_MINUTE
from fanout.quota.ceiling import Hold
from fanout.quota.estimate import Cost
from fanout.quota.gate import Gate
from fanout.quota.gates import Gates, view_of
from fanout.quota.limits import Limits
from fanout.quota.rows import LEASE_GRACE_NS, Row
from fanout.quota.shared import TRY_AGAIN_NS, SharedGates, Sharing
from fanout.quota.sharers import Reservation
from fanout.quota.together import Contender, Lease
from fanout.settings import Settings
from fanout.store import quota_rows
from fanout.store.database import open_database
from fanout.store.quota_rows import LOCK_KEY, Offset, QuotaRows
from tests.hands import WAIT_S, HandCaller
from tests.postgres import Postgres
from tests.stores import asked, eventually

ROOT = Path(__file__).parent.parent
ONE = Cost(input_tokens=10, output_tokens=10)
ACCOUNT = Account(account='it\'s "the" account; DROP TABLE quota --', model="m%s", provider="p")
TIMEOUT_NS = 30 * NS_PER_S


@pytest.fixture
def url(postgres: Postgres) -> Iterator[sa.URL]:
    database = open_database(postgres.fresh())
    yield database.url
    database.close()


class Host:
    """What a process on some host has: a clock of its own, a connection, a gate, one run. Time is the test's."""

    def __init__(self, url: sa.URL, limits: Limits, *, run_id: str, clock_ns: int) -> None:
        """`clock_ns`: what its clock says at the test's instant 0; the database says 10^18 then."""
        self.rows = QuotaRows(url)
        self.rows._offset = _Fixed(10**18 - clock_ns)
        self.clock_ns = clock_ns
        self.shared = SharedGates(self.rows, wall_offset_ns=-clock_ns)
        self.gate: Gate = Gates(wall_offset_ns=-clock_ns, together=self.shared).at(ACCOUNT, limits, clock_ns)
        self.run_id = run_id
        self.gate.join(run_id, weight=1)
        self.gate.lease(run_id, TIMEOUT_NS)

    def try_start(self, at_ns: int) -> Reservation | Hold:
        at_ns += self.clock_ns
        with self.shared:
            self.gate.new_round()
            return self.gate.ask(self.run_id, ONE, at_ns) or self.gate.book(self.run_id, ONE, at_ns)

    def settle(self, booked: Reservation, at_ns: int) -> None:
        with self.shared:
            self.gate.settle(booked, ONE, at_ns + self.clock_ns)

    def is_shared(self) -> bool:
        return self.shared.shared

    def free(self, at_ns: int) -> int:
        with self.shared:
            return view_of(self.gate, waiting={}, at_ns=at_ns + self.clock_ns).limits[0].free

    def close(self) -> None:
        self.shared.close()
        self.rows.close()


class _Fixed(Offset):
    def __init__(self, offset_ns: int) -> None:
        super().__init__()
        self._fixed = offset_ns

    @property
    def ns(self) -> int:
        return self._fixed

    def heard(self, there_ns: int, *, left_ns: int) -> None:
        pass


@contextmanager
def hosts(url: sa.URL, limits: Limits) -> Iterator[tuple[Host, Host]]:
    """Two whose clocks have nothing in common."""
    one, other = (Host(url, limits, run_id=f"run {n}", clock_ns=n * 10**15 + 7) for n in range(2))
    try:
        yield one, other
    finally:
        one.close()
        other.close()


# Clocks


@given(st.integers(-(10**18), 10**18))
def test_a_row_by_another_clock_and_back_is_the_same(by_ns: int) -> None:
    row = Row(
        written_ns=5,
        virtual=9,
        blocked_until_ns=7,
        heard=True,
        learnt=(60, None, 3, 1, 2, 0),
        limits={},
        runs={"r": Contender(1, 2, 3, 4), "gone": Contender(1, 2, 0, 4)},
        leases={"p": Lease(2, 9)},
    )
    assert row.moved(by_ns).moved(-by_ns) == row
    assert row.moved(by_ns).runs["gone"].contends_until_ns == 0  # which is no instant
    assert row.moved(by_ns).virtual == 9


@given(st.lists(st.integers(0, 10**8), min_size=1, max_size=50))
def test_the_offset_is_that_of_the_quickest_answer(ways_ns: list[int]) -> None:
    offset, left_ns = Offset(), 0
    for way_ns in ways_ns:
        left_ns += 10**8
        offset.heard(left_ns + 10**17 + way_ns, left_ns=left_ns)
    assert offset.ns == 10**17 + min(ways_ns)


def test_an_offset_follows_a_clock_that_drifts_and_one_that_was_set() -> None:
    offset = Offset()
    for minute in range(10):
        offset.heard(minute * 60 * NS_PER_S + minute * 1_000_000 + 500, left_ns=minute * 60 * NS_PER_S + minute)
    assert offset.ns >= 7_000_000
    offset.heard(900 * NS_PER_S + 3_600 * NS_PER_S, left_ns=900 * NS_PER_S)
    assert offset.ns == 3_600 * NS_PER_S


# Laws


def test_hosts_with_clocks_of_their_own_stay_in_the_burst_and_the_rate_together(url: sa.URL) -> None:
    with hosts(url, Limits(requests_per_minute=600, burst=3)) as made:
        taken: list[int] = []
        for step in range(120):
            at_ns = step * NS_PER_S // 20
            for host in made:
                started = host.try_start(at_ns)
                if not isinstance(started, Hold):
                    taken.append(at_ns)
                    host.settle(started, at_ns)
    for place, since_ns in enumerate(taken):
        for window_ns in (NS_PER_S, 3 * NS_PER_S):
            inside = sum(since_ns <= each < since_ns + window_ns for each in taken[place:])
            assert inside <= 3 + 600 * window_ns // NS_PER_MINUTE + 1
    assert len(taken) >= 600 * 6 // 60


def test_places_in_flight_are_given_back_by_a_lease_that_expires(url: sa.URL) -> None:
    with hosts(url, Limits(max_in_flight=1)) as (dies, stays):
        assert not isinstance(dies.try_start(0), Hold)
        assert isinstance(stays.try_start(1), Hold)
        dies.close()
        assert isinstance(stays.try_start(TIMEOUT_NS + LEASE_GRACE_NS - 1), Hold)
        assert not isinstance(stays.try_start(TIMEOUT_NS + LEASE_GRACE_NS), Hold)


def test_somebody_who_keeps_the_rows_leaves_others_alone_for_a_moment(
    url: sa.URL, caplog: pytest.LogCaptureFixture
) -> None:
    with hosts(url, Limits(requests_per_minute=60, burst=5)) as (one, other):
        one.try_start(0)
        with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as keeper:
            keeper.execute(f"SELECT pg_advisory_xact_lock({LOCK_KEY})".encode())
            began_s = time.monotonic()
            assert not isinstance(one.try_start(0), Hold)
            assert time.monotonic() - began_s < 1.0
            assert not one.is_shared()
        assert "goes on alone" in caplog.text
        other.try_start(0)
        one.rows.mend()
        assert one.free(TRY_AGAIN_NS) == 3  # 5 - 3 taken + 1 grown back
        assert one.is_shared()
        assert "shared through" in caplog.text


def test_a_process_that_stands_still_in_the_middle_holds_others_up_for_a_second(
    url: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quota_rows, "LOCK_MS", 50)
    with hosts(url, Limits(requests_per_minute=60, burst=5)) as (stopped, other):
        with stopped.shared:
            stopped.gate.ask(stopped.run_id, ONE, stopped.clock_ns)  # and there it stands
            assert not isinstance(other.try_start(0), Hold)
            assert not other.is_shared()
            other.rows.mend()
            eventually(lambda: _may_lock(url))
            other.free(TRY_AGAIN_NS)
            assert other.is_shared()
        assert not stopped.is_shared()  # what it did then is told later


def _may_lock(url: sa.URL) -> bool:
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as looker:
        found = looker.execute(f"SELECT pg_try_advisory_xact_lock({LOCK_KEY})".encode()).fetchone()
        return found is not None and bool(found[0])


def test_a_server_that_does_not_answer_is_waited_for_a_moment_only(url: sa.URL, postgres: Postgres) -> None:
    with hosts(url, Limits(requests_per_minute=60, burst=5)) as (one, _):
        one.try_start(0)
        with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as looker:
            found = looker.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'fanout quota'")
            backends = [int(str(row[0])) for row in found]
        for backend in backends:
            os.kill(backend, signal.SIGSTOP)
        try:
            began_s = time.monotonic()
            assert not isinstance(one.try_start(0), Hold)
            assert time.monotonic() - began_s < 2.0
            assert not one.is_shared()
        finally:
            for backend in backends:
                os.kill(backend, signal.SIGCONT)


def test_the_address_of_the_rows_shows_no_password(url: sa.URL) -> None:
    rows = QuotaRows(url.set(password="sesame", port=1))
    assert "sesame" not in repr(rows)
    rows.close()


# Engines and processes


def test_an_engine_over_a_store_in_postgresql_shares_what_its_runs_take(url: sa.URL) -> None:
    caller = HandCaller()
    rows = QuotaRows(url)
    with Engine(
        caller_for=lambda batch, clock: caller,
        limits_for=lambda _: Limits(requests_per_day=10),
        account_for=lambda _: ACCOUNT,
        quota_file=Sharing(keeper=rows),
    ) as engine:
        live = engine.start(Batch(prompts=["one", "two"]))
        for sent in caller.taken(2):
            sent.answer()
        assert live.wait(WAIT_S)
        (view,) = engine.quota()
        assert (view.shared_file, view.over_hosts, view.limits[0].free) == (True, True, 8)
    rows.close()


def test_a_library_shares_through_its_store_unless_a_file_was_named(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.fresh()
    for named, shares in ((None, True), (Path("off"), False), (tmp_path / "q", False)):
        with Library(Settings(database_url=url, quota_file=named, data_dir=tmp_path)) as library:
            assert (library._quota_rows is not None) == shares
    with Library(Settings(data_dir=tmp_path)) as library:
        assert library._quota_rows is None


SHARER = """
import json, sys, time
from dataclasses import replace
from fanout.batch import Batch
from fanout.dispatch import account_of_batch
from fanout.engine import Engine
from fanout.quota.limits import Limits
from fanout.quota.shared import Sharing
from fanout.settings import name_sandbox, read_settings
from fanout.store.database import open_database
from fanout.store.quota_rows import QuotaRows

at_s, (count, per_minute, in_flight) = float(sys.argv[1]), map(int, sys.argv[2:5])
name_sandbox(read_settings())
rows = QuotaRows(open_database(sys.argv[5]).url)
limits = Limits(requests_per_minute=per_minute, burst=4, max_in_flight=in_flight)
with Engine(limits_for=lambda _: limits, quota_file=Sharing(keeper=rows)) as engine:
    engine.start(Batch(prompts=["Reply: warm"], timeout_s=4)).results()
    time.sleep(max(0.0, at_s - time.time()))
    live = engine.start(Batch(prompts=[f"Reply: {n}" for n in range(count)], max_workers=8, timeout_s=4))
    for result in live.as_completed():
        print(result.index, flush=True)
    run = live.snapshot()
    starts = [attempt.started_ns for call in run.calls for attempt in call.attempts]
    refused = sum(a.error is not None and a.error.status_code == 429 for call in run.calls for a in call.attempts)
    print(json.dumps({"starts": starts, "refused": refused, "shared": engine.quota()[0].shared_file,
        "failed": [str(call.error) for call in run.calls if call.status != "answered"]}), flush=True)
rows.close()
"""


@contextmanager
def one_sandbox(per_minute: int) -> Iterator[str]:
    """The address of a sandbox that enforces so many requests a minute, and five at once."""
    flags = f"--port 0 --rpm {per_minute} --burst 5 --headers-off"
    serving = [sys.executable, "-m", "fanout", "sandbox", *flags.split()]
    with subprocess.Popen(serving, stderr=subprocess.PIPE, text=True, cwd=ROOT) as served:
        try:
            assert served.stderr is not None
            url = next(word for word in served.stderr.readline().split() if word.startswith("http"))
            yield url.removesuffix("/v1")
        finally:
            served.terminate()


def sharer(
    count: int, *, url: str, sandbox: str, at_s: float = 0.0, per_minute: int, in_flight: int = 16
) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SHARER, str(at_s), str(count), str(per_minute), str(in_flight), url]
    environment = {**os.environ, "FANOUT_SANDBOX_URL": sandbox}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def test_two_processes_on_one_account_split_it_evenly_and_are_refused_nothing(postgres: Postgres) -> None:
    url = postgres.fresh()
    open_database(url).close()
    with one_sandbox(600) as sandbox:
        at_s = time.time() + 8.0
        running = [sharer(60, url=url, sandbox=sandbox, at_s=at_s, per_minute=600) for _ in "ab"]
        told = [json.loads(one.communicate(timeout=100)[0].splitlines()[-1]) for one in running]
    assert [each["shared"] for each in told] == [True, True]
    assert [each["failed"] for each in told] == [[], []]
    assert [each["refused"] for each in told] == [0, 0]
    until_ns = min(max(each["starts"]) for each in told)  # one clock: here they are on one host
    since_ns = max(min(each["starts"]) for each in told)
    counts = [sum(since_ns <= at_ns <= until_ns for at_ns in each["starts"]) for each in told]
    assert min(counts) >= 0.8 * max(counts)


def test_the_places_of_a_process_that_was_killed_come_back(postgres: Postgres) -> None:
    url = postgres.fresh()
    open_database(url).close()
    with one_sandbox(6_000) as sandbox:
        dies = sharer(10_000, url=url, sandbox=sandbox, per_minute=3_000, in_flight=2)
        assert dies.stdout is not None
        for _ in range(30):
            dies.stdout.readline()
        dies.send_signal(signal.SIGKILL)
        dies.communicate(timeout=WAIT_S)
        (left,) = Row.from_json(str(asked(url, "SELECT state FROM quota")[0][0])).leases.values()
        assert 1 <= left.calls <= 2
        stays = sharer(8, url=url, sandbox=sandbox, per_minute=3_000, in_flight=2)
        told = json.loads(stays.communicate(timeout=100)[0].splitlines()[-1])
    assert (told["failed"], told["shared"], told["refused"]) == ([], True, 0)
    assert Row.from_json(str(asked(url, "SELECT state FROM quota")[0][0])).leases == {}
