"""The command line's words about stored runs: runs, show, resume, stop, export, import, delete, backup, restore.

Comes in: arguments. Goes out: lines on standard output, words on standard error, an exit code. Whoever may start these
commands may read the store's file: they are the local admin.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fanout import billed
from fanout.archive import export_run
from fanout.batch import Batch
from fanout.errors import BadInput
from fanout.export import chrome_trace, json_line, results_csv, results_jsonl
from fanout.library import Library, Opened
from fanout.people import LOCAL
from fanout.run import Run
from fanout.settings import name_sandbox, read_settings
from fanout.store import NoSuchRun
from fanout.store.alone import alone
from fanout.store.rows import RunRow, settings_key
from fanout.store.shelf import Shelf, Wanted
from fanout.streams import printing, put, results_out
from fanout.tuning.priced import has_unpriced
from fanout.wiring import store_url

Format = Literal["csv", "jsonl", "trace", "html", "run"]

_MOST_LISTED = 10_000
_OPTIONS = {
    "timeout_s": "timeout",
    "requests_per_minute": "rpm",
    "tokens_per_minute": "tpm",
}
"""What the settings of a batch are called on the command line, where that differs."""


@contextmanager
def open_library(*, reads: bool = False) -> Iterator[Library]:
    """The library that the settings name. `reads`: for a command that changes nothing."""
    settings = read_settings()
    name_sandbox(settings)
    library = Library(settings, reads=reads)
    try:
        yield library
    finally:
        library.close(grace_s=settings.grace_s)


def shelf_of(library: Library) -> Shelf:
    """Its stored runs."""
    assert library.shelf is not None, "a library that the settings opened stores its runs"
    return library.shelf


def find(library: Library, name: str) -> Opened:
    """The run of this id, or of the only id that begins so. Raises BadInput."""
    try:
        return library.find(LOCAL, shelf_of(library).named(LOCAL, name))
    except NoSuchRun:
        raise BadInput(f"there is no run {name!r}: `python -m fanout runs` lists them") from None


def say_what_may_be_billed_twice(run: Run, *, another_list: bool = False) -> None:
    """Name the calls that were sent and not waited for, and are sent again now: they may have been billed.

    `another_list`: what is sent now has numbers of its own.
    """
    whose = f" of the list of run {run.run_id}" if another_list else ""
    ended = "file was saved" if run.stop_reason == "saved" else "process ended"
    why = {f"In flight when the {ended}": billed.lost(run), "Hung up after being sent": billed.hung_up(run)}
    for words, calls in why.items():
        again = [call + 1 for call in calls if run.calls[call].status != "answered"]
        if again:
            shown = ", ".join(map(str, again[:20])) + (f" and {len(again) - 20:,} more" if len(again) > 20 else "")
            prompts = "prompt" if len(again) == 1 else "prompts"
            print(f"{words}, so possibly billed twice: {prompts} {shown}{whose}.", file=sys.stderr)


def say_what_is_sent(run: Run, changes: Mapping[str, object]) -> None:
    """Before a run goes on: what may be billed twice, or that nothing is left to send."""
    if any(call.status != "answered" for call in run.calls):
        say_what_may_be_billed_twice(run)
        return
    from fanout.terminal import printable

    options = ["--" + _OPTIONS.get(name, name).replace("_", "-") for name in changes]
    ignored = f", and {' and '.join(options)} change{'s' * (len(options) == 1)} nothing" if options else ""
    model = f" --model {changes.get('model', run.batch.model)}"
    print(
        f"Every prompt of this run is answered: nothing is left to send{ignored}. "
        f"The list is sent again by: python -m fanout run FILE{printable(model)}",
        file=sys.stderr,
    )


def check_dollars(run: Run, batch: Batch) -> None:
    """Raise BadInput where the run has shown that nobody can count the cap in dollars of `batch`: nothing is sent."""
    if batch.cap_usd is not None and has_unpriced(run, batch.model):
        raise BadInput(
            f"the price of {batch.model} is not known, so nobody can count its cap of ${batch.cap_usd:.4g}: "
            "take it off with --no-cap-usd; --cap-tokens caps the run in tokens"
        )


@contextmanager
def nobody_else_sends(library: Library, batch: Batch, *, carry_from: str) -> Iterator[None]:
    """Within it, this list is sent by this process alone, with the answers of that run. Raises BadInput otherwise."""
    words = json.dumps([carry_from, settings_key(batch), batch.prompts])
    with alone(shelf_of(library).database, words) as is_free:
        if not is_free:
            raise BadInput(
                f"another process is sending this list with the answers of run {carry_from}: wait for its end "
                "(`python -m fanout runs` lists it), or what both send is paid for twice. "
                "`python -m fanout run FILE` sends all of the list, whatever others do"
            )
        yield


def list_runs(
    words: Annotated[list[str] | None, typer.Argument(help="Words of its name, model, owner, tags or id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST_LISTED, help="Runs at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines: one object a run.")] = False,
) -> None:
    """List the stored runs, the newest first."""
    from fanout.terminal import printable

    out = results_out()
    with open_library(reads=True) as library:
        found = library.list(LOCAL, Wanted(words=" ".join(words or ()), limit=limit))
    with printing(out):
        for row in found.rows:
            print(json_line(row_json(row)) if as_json else printable(_row_line(row)), file=out)
    if found.count > len(found.rows):
        print(f"{len(found.rows):,} of {found.count:,} runs: --limit shows more", file=sys.stderr)
    elif not found.rows:
        print("No run is stored." if not words else "No run is found by these words.", file=sys.stderr)


def show(
    run: Annotated[str, typer.Argument(help="A run's id, or its beginning.")],
    as_json: Annotated[bool, typer.Option("--json", help="One object a prompt, a summary last.")] = False,
) -> None:
    """Print a stored run: its results, in input order, and its summary."""
    from fanout.terminal import print_run

    out = results_out()
    with open_library(reads=True) as library:
        print_run(find(library, run).named(), as_json=as_json, out=out)


def stop(run: Annotated[str, typer.Argument(help="A run's id, or its beginning.")]) -> None:
    """Ask the process that drives a run to stop it."""
    with open_library() as library:
        opened = find(library, run)
        if not opened.row.goes_on:
            raise BadInput("this run does not go on")
        library.stop(LOCAL, opened.row.run_id)
    print("Asked: it starts nothing further from the next second on.", file=sys.stderr)


def delete(
    run: Annotated[str, typer.Argument(help="A run's id, or its beginning.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a stored run, for good."""
    with open_library() as library:
        opened = find(library, run)
        row = opened.row
        if not yes and not typer.confirm(f"Delete {row.run_id}, {row.answered:,} answers, for good?", err=True):
            raise typer.Exit(1)
        library.delete(LOCAL, row.run_id)
    print(f"Deleted {row.run_id}.", file=sys.stderr)


def export(
    run: Annotated[str, typer.Argument(help="A run's id, or its beginning.")],
    file: Annotated[str, typer.Argument(help="The file to write, or - for standard output.")],
    format: Annotated[  # the option's name
        Format, typer.Option(help="Results as csv or jsonl; trace; html, a report; run, which loses nothing.")
    ] = "jsonl",
) -> None:
    """Write a stored run to a file."""
    out = results_out() if file == "-" else None
    with open_library(reads=True) as library:
        text = _written(library, find(library, run), format)
    if out is not None:
        with printing(out):
            out.buffer.write(text.encode())  # a file's bytes, whatever letters the terminal has
        return
    try:
        with open(file, "w", encoding="utf-8-sig" if format == "csv" else "utf-8", newline="") as written:
            written.write(text)
    except OSError as exc:
        raise BadInput(f"{file} cannot be written: {exc.strerror or exc}") from exc


def import_file(file: Annotated[Path, typer.Argument(help="A file that `export --format run` wrote.")]) -> None:
    """Store a run that was exported, on this machine or another."""
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise BadInput(f"{file} cannot be read: {exc.strerror or exc}") from exc
    out = results_out()
    with open_library() as library:
        put(library.put_in(LOCAL, content), out)


def backup(file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")]) -> None:
    """Copy the store into a file, while runs go on."""
    from fanout.store.backup import back_up

    with open_library(reads=True) as library:
        database = shelf_of(library).database
        runs = back_up(database, file)
        print(f"Wrote {file}: {runs:,} run{'' if runs == 1 else 's'} of {database.path}.", file=sys.stderr)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Replace a store that is there.")] = False,
) -> None:
    """Put a backup in the store's place. No process may be using the store."""
    from fanout.store.backup import put_back

    put_back(store_url(read_settings()), file, replace=yes)
    print(f"Restored {file}.", file=sys.stderr)


def row_json(row: RunRow) -> dict[str, Any]:
    """A run of the list as a JSON object."""
    return {
        "run_id": row.run_id,
        "name": row.name,
        "owner": row.owner_name,
        "visibility": row.visibility,
        "model": row.model,
        "opened_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row.opened_at)),
        "state": row.state,
        "stop_reason": row.stop_reason,
        "prompts": row.prompts,
        "answered": row.answered,
        "failed": row.failed,
        "max_workers": row.max_workers,
        "wall_s": row.wall_s,
        "overlap": row.overlap,
        "tokens": row.tokens,
        "cost_usd": row.cost_usd,
        "tags": list(row.tags),
    }


def _row_line(row: RunRow) -> str:
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.opened_at))
    wall = "" if row.wall_s is None else f"  {row.wall_s:.3g} s"
    name = f"  {row.name}" if row.name else ""
    failed = f", {row.failed:,} failed" if row.failed else ""
    state = row.stop_reason if row.state == "ended" and row.stop_reason != "finished" else row.state
    return (
        f"{row.run_id}  {began}  {state}  {row.answered:,} of {row.prompts:,} answered{failed}{wall}  {row.model}{name}"
    )


def _written(library: Library, opened: Opened, format: Format) -> str:
    run = opened.named()
    if format == "csv":
        return results_csv(run)
    if format == "jsonl":
        return results_jsonl(run)
    if format == "trace":
        return chrome_trace(run)
    if format == "run":
        return export_run(library.events(LOCAL, run.run_id), tags=opened.row.tags)
    # The report draws, and the library does not: the views' package is looked for where this one was started.
    try:
        report = importlib.import_module("dashboard.report")
    except ImportError:
        raise BadInput("the report needs Fanout's dashboard folder beside fanout: start it from the checkout") from None
    return str(report.report_of(opened))
