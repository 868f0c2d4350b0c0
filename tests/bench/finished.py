"""What is made of finished runs: a comparison and its page, a report, a run file. `python -m tests.bench.finished`.

Synthetic runs (tests/runs.py) of 1,000 and 10,000 calls; the page by Streamlit's AppTest, so the server's part alone.
Best of three; prints Markdown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from streamlit.testing.v1 import AppTest

from dashboard import house
from dashboard.found import choice_of
from dashboard.report import report_html
from fanout import Engine
from fanout.archive import export_run, import_run
from fanout.compare import compare
from fanout.fold import fold
from fanout.run import Run
from fanout.settings import Settings
from fanout.store.rows import row_of
from tests.runs import history

MAIN = str(Path(__file__).parents[2] / "dashboard" / "main.py")


def took_ms(do: Callable[[], object], *, times: int = 3) -> float:
    """The shortest of several, in ms."""
    shortest_s = float("inf")
    for _ in range(times):
        began_s = time.perf_counter()
        do()
        shortest_s = min(shortest_s, time.perf_counter() - began_s)
    return shortest_s * 1_000


def page(a: Run, b: Run) -> tuple[float, float]:
    """The comparison's page in ms: the first time, and drawn again."""
    runs = {run.run_id: run for run in (a, b)}
    there = tuple(choice_of(row_of(run), zone=None) for run in runs.values())
    with patch.multiple("dashboard.compare_view", find=runs.get, choices=lambda: there):
        app = AppTest.from_file(MAIN, default_timeout=60)
        app.run()
        app.switch_page("app_pages/compare.py")
        app.query_params["a"], app.query_params["b"] = a.run_id, b.run_id
        first = took_ms(app.run, times=1)
        assert not app.exception
        return first, took_ms(app.run)


def measured(calls: int) -> str:
    """A row of the table."""
    options = {"n": calls, "failing": 0.02, "retrying": 0.05}
    events = history(**options, max_workers=64, run_id=f"a{calls}")  # type: ignore[arg-type]  # the options of history
    a, b = fold(events), fold(history(n=calls, max_workers=32, seed=3, run_id=f"b{calls}"))
    first, again = page(a, b)
    file = export_run(events)
    report = report_html(a)
    cells = (
        f"{calls:,}",
        f"{took_ms(lambda: compare(a, b)):,.0f}",
        f"{first:,.0f}",
        f"{again:,.0f}",
        f"{took_ms(lambda: report_html(a)):,.0f} ({len(report) / 1e6:.1f} MB)",
        f"{took_ms(lambda: export_run(events)):,.0f} ({len(file) / 1e6:.1f} MB)",
        f"{took_ms(lambda: import_run(file)):,.0f}",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    house.open_house(Settings(), engine=Engine(), prepare=False)
    print("| calls | compare ms | its page, first ms | again ms | report ms | run file ms | read back ms |")
    print("|---|---|---|---|---|---|---|")
    for calls in (1_000, 10_000):
        print(measured(calls), flush=True)
    house.close_house()


if __name__ == "__main__":
    main()
