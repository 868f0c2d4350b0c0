"""The pages and the links between them: one place that knows their files, names and addresses."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from dashboard.gantt import assets

FOLDER = Path(__file__).parent / "app_pages"


def run_page() -> st.Page:
    """The form, or a run: the default page."""
    return st.Page(FOLDER / "run.py", title="Run", default=True)


def sandbox_page() -> st.Page:
    """How the simulated provider behaves."""
    return st.Page(FOLDER / "sandbox.py", title="Sandbox", url_path="sandbox")


def runs_page() -> st.Page:
    """All runs that whoever looks may see."""
    return st.Page(FOLDER / "runs.py", title="Runs", url_path="runs")


def compare_page() -> st.Page:
    """Two runs beside each other."""
    return st.Page(FOLDER / "compare.py", title="Compare", url_path="compare")


def quota_page() -> st.Page:
    """Every account and model: its limits, who shares them, what was refused."""
    return st.Page(FOLDER / "quota.py", title="Quota", url_path="quota")


def audit_page() -> st.Page:
    """Who did what."""
    return st.Page(FOLDER / "audit.py", title="Audit", url_path="audit")


def all_pages(*, with_audit: bool) -> list[st.Page]:
    """In the order of the navigation. `with_audit`: for whoever may read it, and for nobody else."""
    told = [audit_page()] if with_audit else []
    return [run_page(), sandbox_page(), runs_page(), compare_page(), quota_page(), *told]


def address_of_run(run_id: str) -> str:
    """Where a run is, as a path on this server."""
    return f"{assets.base()}/?{urlencode({'run': run_id})}"


def link_to_run(run_id: str, label: str) -> None:
    """A link to a run; the label is Markdown, so escape what others wrote."""
    st.page_link(run_page(), label=label, query_params={"run": run_id})


def link_to_compare(run_id: str, label: str, *, token: str | None = None) -> None:
    """A link to the comparison of this run, as B, with one that is chosen there. `token`: by which it was come to."""
    by_link = {} if token is None else {"link_b": token}
    st.page_link(compare_page(), label=label, query_params={"b": run_id, **by_link})


def link_to_compare_two(a: str, b: str, label: str) -> None:
    """A link to the comparison of these two."""
    st.page_link(compare_page(), label=label, query_params={"a": a, "b": b})


def link_to_form(label: str) -> None:
    """A link to the form."""
    st.page_link(run_page(), label=label)


def link_to_runs(label: str) -> None:
    """A link to the list of all runs."""
    st.page_link(runs_page(), label=label)
