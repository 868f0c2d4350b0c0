"""Fills the form from a run or from a link, and writes the link that fills it again elsewhere.

Comes in: a run that somebody may see, or the address's query, which anybody may have written. Goes out: the form's
values in `session`, and a sentence for the page. A link sets controls and sends nothing.
"""

from __future__ import annotations

from urllib.parse import urlencode

from dashboard import door, elements, form_link, found, kept_form, session, session_kept, session_link, session_share
from dashboard.inputs import as_text
from dashboard.session_link import Came, Said
from dashboard.settings_words import refusal_words, setting_name
from dashboard.units import counted
from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.store.rows import RunRow


def from_run(row: RunRow, batch: Batch) -> None:
    """The form as this run was started. From a callback only."""
    _fill(batch, row)
    session_link.keep(Came(run_id=row.run_id, batch=batch))
    session_link.tell(None)


def from_address(*, ceiling: int) -> None:
    """Before the form is drawn: follow the link that the address is, if it is one. A wrong one changes nothing."""
    query = session_link.asked()
    if query is None:
        return
    try:
        session_link.tell(Said(words=_follow(query, ceiling)))
    except BadInput as exc:
        why = refusal_words(str(exc))
        session_link.tell(Said(words=f"The link was not followed, and the form is as it was: {why}.", is_wrong=True))
    session_link.take()


def _follow(query: dict[str, str], ceiling: int) -> str:
    run_id = query[form_link.FORM]
    opened = None if run_id == form_link.NEW else found.opened(run_id)
    if opened is None and run_id != form_link.NEW:
        raise BadInput("the run that it names is not known here: it may have been deleted, or its link withdrawn")
    base = None if opened is None else opened.run.snapshot().batch
    batch = form_link.read(query, base)
    asked_for = batch.max_workers
    if asked_for > ceiling:
        batch = batch.changed({"max_workers": ceiling})
    if base is None or opened is None:
        session.fill_settings(batch)
        session_kept.forget(kept_form.NAME)
    else:
        _fill(batch, opened.row)
        session_link.keep(Came(run_id=run_id, batch=base))
    said = [f"From a link: {_what(query, base, run_id)}. Nothing is sent before you press Run."]
    if asked_for > ceiling:
        said.append(f"It asks for max_workers {asked_for}; here at most {ceiling} can be had.")
    return " ".join(said)


def _what(query: dict[str, str], base: Batch | None, run_id: str) -> str:
    """40 prompts and all settings of run 3f2a1b4c, with max_workers and Instructions as the link says."""
    names = [setting_name(name) for name in form_link.named(query)]
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    if base is None:
        return f"{listed}; the rest as at first" if names else "all settings as at first"
    begin = f"{counted(len(base.prompts), 'prompt')} and the settings of run {run_id[:8]}"
    return f"{begin}, with {listed} as the link says" if names else begin


def _fill(batch: Batch, row: RunRow) -> None:
    """The prompts are of this run: nobody sees the next one who does not see it, whatever is usual here."""
    by_link_of_another = row.visibility == "link" and row.owner_id != door.person().user_id
    session_share.let_see("private" if by_link_of_another else row.visibility)
    written = as_text(batch.prompts)
    session_kept.forget(kept_form.NAME)
    session.fill_form(
        batch, text=None if written is None else written.text, mode="line" if written is None else written.mode
    )


def forget() -> None:
    """The form was used: what a link said of it is past."""
    session_link.tell(None)


def draw_told() -> None:
    """What a link did to the form."""
    said = session_link.told()
    if said is not None:
        (elements.wrong if said.is_wrong else elements.quiet)(said.words)


def link_to(batch: Batch) -> tuple[str, str]:
    """The address that fills the form like this, and what is to be known of it."""
    came = session_link.came_from()
    if came is not None and came.batch.prompts != batch.prompts:
        came = None
    run_id, base = (None, None) if came is None else (came.run_id, came.batch)
    query, left = form_link.query_of(batch, base=base, run_id=run_id)
    token = None if run_id is None else session_share.link_of(run_id)
    if token is not None:
        query["link"] = token
    said = (
        "It takes the settings along, not the prompts: run them once, and the run's own link takes both."
        if run_id is None
        else f"It takes the settings and the prompts of run {run_id[:8]}, for whoever may see that run."
    )
    if left:
        said += f" Too long for a link, and left out: {', '.join(map(setting_name, left))}."
    return f"{session_share.root()}/?{urlencode(query)}", said
