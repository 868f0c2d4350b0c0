"""The settings under which an ended run is to go on outlive a reload, and the server: the tab keeps them, of one run.

Comes in: a run, and what stands in the fields beside its button. Goes out: what the tab keeps, and, once a session, the
fields as they were. What a tab hands back is read like a link.
"""

from __future__ import annotations

from contextlib import suppress
from typing import cast

from dashboard import door, form_link, kept_in_tab, session, session_kept, session_resume
from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.run import Run
from fanout.stretch import workers_wanted

NAME = "settings"
SLIDER = "strip_workers"
"""The key of the slider that says with how many workers it goes on."""


def take(run: Run, *, moves_slider: bool) -> None:
    """Before the fields are drawn: a new session's as the tab kept them. What cannot be read changes nothing.

    `moves_slider`: whether the slider is this session's, and not of a run that is driven here.
    """
    asks = session_resume.asks(run.run_id)
    handed = kept_in_tab.handed_back(NAME, about=run.run_id, takes=asks, asks=asks)
    if handed is not None:
        session_resume.answered(run.run_id)
        session_kept.take(NAME, (run.run_id, handed))
    of, pending = cast("tuple[str, object]", session_kept.pending(NAME) or ("", None))
    if of == run.run_id:
        with suppress(BadInput):
            _fill(run, read(pending, run.batch, who=door.person().user_id), moves_slider=moves_slider)


def _fill(run: Run, batch: Batch, *, moves_slider: bool) -> None:
    session_resume.fill(run.run_id, run.batch, batch)
    if moves_slider:
        session.adopt(SLIDER, run.run_id, workers_wanted(run))
        session.slide(SLIDER, batch.max_workers)


def keep(run: Run, wanted: Batch | None) -> None:
    """After they were drawn: have the tab keep in what they differ from the run's own. None: they are refused now."""
    if wanted is None:
        return
    settings, _ = form_link.query_of(wanted, base=run.batch, run_id=run.run_id)
    differs = any(name in form_link.SETTINGS for name in settings)
    form = {"who": door.person().user_id, "settings": settings} if differs else None
    session_resume.note(run.run_id, wanted)
    kept_in_tab.keep(NAME, form, about=run.run_id, asks=session_resume.asks(run.run_id))


def read(handed: object, base: Batch, *, who: str) -> Batch:
    """The batch that a tab handed back. Raises BadInput where it is none, or somebody else's."""
    return form_link.read(kept_in_tab.parsed(handed, who=who)["settings"], base)
