"""The form outlives a reload, and its server: the tab keeps it and hands it to the session that begins then.

Comes in: the form's settings and prompts. Goes out: what the tab keeps, and, once a session, the form as it was. What a
tab hands back may be anything; it is read like a link, and taken only for the person whose form it was. A list beyond
`MOST_CHARACTERS` is not kept, and the page says so afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, get_args

from dashboard import (
    door,
    form_link,
    found,
    inputs,
    kept_in_tab,
    session,
    session_kept,
    session_link,
    session_prompts,
    session_share,
)
from dashboard.session_link import Came, Said
from fanout.batch import Batch
from fanout.errors import BadInput, FanoutError
from fanout.people import Visibility
from fanout.prompts import Mode

MOST_CHARACTERS = 500_000
"""Of the prompts: a tab keeps about ten times as much, and they travel with each change of the form."""
NAME = "form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A form that a tab has kept."""

    batch: Batch
    """Its settings; the prompts are a stand-in, and the sandbox's profile is not among them."""
    text: str | None
    """What stood in the text editor; None where the list was in another one."""
    mode: Mode
    prompts: tuple[str, ...] | None
    """The list of the other editors; None of a text, and where it was too long."""
    seen_by: Visibility
    came_from: str | None
    """The run from which the form was filled."""
    link: str | None
    """By which that run was come to."""
    carries: bool
    """Whether its answers are to be kept."""


def take() -> None:
    """Before the form is drawn: a new session's form as the tab kept it. What cannot be read changes nothing."""
    # What is handed back counts also where the page was changed by then: it was, before this session began, and the tab
    # hands nothing back over what somebody typed since.
    takes = not session_kept.is_filled()
    handed = kept_in_tab.handed_back(NAME, takes=takes, asks=takes and not session_kept.is_touched())
    if handed is not None:
        session_kept.take(NAME, handed)
        session_kept.fill()  # also by what cannot be read: the tab waits for that
    pending = session_kept.pending(NAME)
    if pending is not None:
        with suppress(BadInput):
            _fill(read(pending, who=door.person().user_id))


def keep(*, ceiling: int) -> None:
    """After it was drawn: have the tab keep it as it is now."""
    kept_in_tab.keep(NAME, _form(ceiling), asks=not session_kept.is_filled())


def read(handed: object, *, who: str) -> Kept:
    """What a tab handed back. Raises BadInput where it is none, or somebody else's."""
    form = kept_in_tab.parsed(handed, who=who)
    settings, text, prompts = form["settings"], form.get("text"), form.get("prompts")
    if not (text is None or isinstance(text, str)) or form.get("mode") not in get_args(Mode):
        raise BadInput("no text")
    is_list = isinstance(prompts, list) and all(isinstance(prompt, str) for prompt in prompts)
    if not (prompts is None or is_list):
        raise BadInput("no list")
    came_from, link = form.get("came_from"), form.get("link")
    if form.get("seen_by") not in get_args(Visibility) or not all(
        each is None or isinstance(each, str) for each in (came_from, link)
    ):
        raise BadInput("no run")
    return Kept(
        batch=replace(form_link.read(settings, None), sandbox=None),
        text=text,
        mode=form["mode"],
        prompts=None if prompts is None else tuple(prompts),
        seen_by=form["seen_by"],
        came_from=came_from,
        link=link,
        carries=form.get("carries") is True,
    )


def _form(ceiling: int) -> Mapping[str, Any]:
    """What the tab is to keep. Settings that are refused as they stand are kept as they last were good."""
    with suppress(BadInput):
        batch = inputs.batch_from(session.form(), ("-",), profile=None, ceiling=ceiling)
        session_kept.keep_settings(form_link.query_of(batch, base=None, run_id=None, most=MOST_CHARACTERS)[0])
    came = session_link.came_from()
    form: dict[str, Any] = {
        "who": door.person().user_id,
        "settings": session_kept.settings(),
        "mode": session_prompts.mode(),
        "text": None,
        "prompts": None,
        "seen_by": session.visibility(),
        "came_from": None if came is None else came.run_id,
        "link": None if came is None else session_share.link_of(came.run_id),
        "carries": session_link.carries() is not None,
    }
    if session_prompts.source() == "Text":
        text = session_prompts.text()
        return form | {"text": text if len(text) <= MOST_CHARACTERS else None}
    prompts = session_prompts.listed()
    return form | {"prompts": list(prompts) if sum(map(len, prompts)) <= MOST_CHARACTERS else None}


def _fill(kept: Kept) -> None:
    before = session.form(), session_prompts.text()
    session.fill_settings(kept.batch)
    session_share.let_see(kept.seen_by)
    if kept.came_from is not None:
        _come_from(kept.came_from, link=kept.link, carries=kept.carries)
    said = "The form is as you left it"
    if kept.text is not None:
        session_prompts.put_in_editors(session_prompts.listed(), text=kept.text, mode=kept.mode)
    elif kept.prompts is not None:
        written = inputs.as_text(kept.prompts)
        session_prompts.put_in_editors(
            kept.prompts,
            text=None if written is None else written.text,
            mode=kept.mode if written is None else written.mode,
        )
    else:
        said += ", but for its prompts: the list was too long for a tab to keep"
    if before != (session.form(), session_prompts.text()) and session_link.told() is None:
        session_link.tell(Said(words=f"{said}."))


def _come_from(run_id: str, *, link: str | None, carries: bool) -> None:
    """As before, where the run may still be seen."""
    if link is not None:
        session_share.remember(run_id, link)
    with suppress(FanoutError):
        opened = found.opened(run_id)
        if opened is not None:
            session_link.keep(Came(run_id=run_id, batch=opened.run.snapshot().batch), carries=carries)
