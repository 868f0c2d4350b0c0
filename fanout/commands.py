"""The commands: `run FILE|-`, `resume RUN`, `sandbox`, and what is said of stored runs.

Comes in: arguments, a file or standard input. Goes out: results on standard output, words on standard error, an exit
code: 0 all answered, 1 some were not or could not be printed, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Annotated

import typer

from fanout import stored_commands
from fanout.batch import Batch
from fanout.driving import follow_to_end, in_order, opened, with_last_words
from fanout.errors import BadInput
from fanout.letters import sendable
from fanout.library import Opened
from fanout.live import LiveRun
from fanout.people import LOCAL
from fanout.prompts import MOST_BYTES, PromptList, name_of_piped, read_file
from fanout.sandbox.profile import SandboxProfile
from fanout.settings import name_sandbox, read_settings
from fanout.streams import results_out

app = typer.Typer(
    name="fanout",
    help="Run a list of prompts side by side against a language model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Results(enum.StrEnum):
    """The order in which results are printed."""

    INPUT = "input"
    COMPLETION = "completion"


@app.command()
def run(
    file: Annotated[str, typer.Argument(help="A .txt, .csv, .tsv, .jsonl or .json file, or - for standard input.")],
    column: Annotated[
        str | None, typer.Option(help="The column or field with the prompt, in JSON also messages.user.content.")
    ] = None,
    model: Annotated[str, typer.Option(help="sandbox, or provider:name such as openai-chat:NAME.")] = "sandbox",
    max_workers: Annotated[int, typer.Option(help="Calls in flight at most, 1 to 512.")] = 8,
    results: Annotated[Results, typer.Option(help="The order in which results are printed.")] = Results.COMPLETION,
    instructions: Annotated[str | None, typer.Option(help="The system prompt of every call.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 to 2; the provider's own where not given.")] = None,
    max_output_tokens: Annotated[int | None, typer.Option(help="Tokens an answer may have.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds one attempt may take.")] = 60.0,
    retries: Annotated[int, typer.Option(help="Further attempts after a failure that may pass.")] = 2,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute; never more than the account allows.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens a minute; never more than the account allows.")] = None,
    burst: Annotated[int | None, typer.Option(help="Requests that may start at once after a quiet while.")] = None,
    auto_workers: Annotated[bool, typer.Option("--auto-workers", help="Size them up to max-workers.")] = False,
    weight: Annotated[int, typer.Option(help="The share beside other runs on the same account, 1 to 100.")] = 1,
    cap_tokens: Annotated[int | None, typer.Option(help="Stop after as many tokens, input and output.")] = None,
    cap_usd: Annotated[float | None, typer.Option(help="Stop after as many dollars.")] = None,
    quota_file: Annotated[
        Path | None, typer.Option(help="A file through which the processes of this host share an account's limits.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the run is called in lists.")] = None,
    reuse_answers: Annotated[
        bool, typer.Option("--reuse-answers", help="Take answers that the same prompt got before; they cost no slot.")
    ] = False,
    identical_once: Annotated[
        bool, typer.Option("--identical-once", help="Send identical prompts once for all of them.")
    ] = False,
    store: Annotated[bool, typer.Option("--store/--no-store", help="Keep the run past this process.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines: one object a prompt, a summary last.")] = False,
) -> None:
    """Send every prompt of FILE, and print each result as it arrives."""
    results_out()
    if instructions is not None and sendable(instructions) != instructions:
        raise BadInput("--instructions is not UTF-8 and would be sent with letters lost: write it in UTF-8")
    prompts = _read(file, column)
    batch = Batch(
        prompts=prompts.prompts,
        model=model,
        max_workers=max_workers,
        instructions=instructions,
        temperature=temperature,
        max_output_tokens=max_output_tokens,
        timeout_s=timeout,
        retries=retries,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        burst=burst,
        auto_workers=auto_workers,
        weight=weight,
        cap_tokens=cap_tokens,
        cap_usd=cap_usd,
        name=name,
        reuse_answers=reuse_answers,
        identical_once=identical_once,
    )
    print(prompts.sentence, file=sys.stderr)
    settings = read_settings()
    name_sandbox(settings)
    with in_order(opened(settings, quota_file=quota_file, stores=store)) as library:
        if not library.engine.quota_for(batch).is_priced:
            print(
                f"The price of {model} is not known here: one call goes first, and the run stops after it unless its "
                "answer has a price. --cap-tokens caps it in tokens.",
                file=sys.stderr,
            )
        followed = follow_to_end(library, lambda: library.start(batch), order=results.value, as_json=as_json)
    raise typer.Exit(with_last_words(followed))


@app.command()
def resume(
    run: Annotated[str, typer.Argument(help="A run's id, or its beginning; `python -m fanout runs` lists them.")],
    file: Annotated[
        str | None, typer.Argument(help="Another list of prompts: what the run answered of it is not sent again.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="The column or field that holds the prompt.")] = None,
    model: Annotated[str | None, typer.Option(help="From here on another model.")] = None,
    max_workers: Annotated[int | None, typer.Option(help="From here on so many calls in flight at most.")] = None,
    timeout: Annotated[float | None, typer.Option(help="From here on, seconds one attempt may take.")] = None,
    retries: Annotated[int | None, typer.Option(help="From here on so many further attempts.")] = None,
    rpm: Annotated[int | None, typer.Option(help="From here on so many requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="From here on so many tokens a minute.")] = None,
    cap_tokens: Annotated[int | None, typer.Option(help="From here on, tokens of the whole run.")] = None,
    cap_usd: Annotated[float | None, typer.Option(help="From here on, dollars of the whole run.")] = None,
    no_cap_usd: Annotated[bool, typer.Option("--no-cap-usd", help="From here on no cap in dollars.")] = False,
    results: Annotated[Results, typer.Option(help="The order in which results are printed.")] = Results.COMPLETION,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines: one object a prompt, a summary last.")] = False,
) -> None:
    """Send what a run has no answer for, as a new stretch of it, and print all its results.

    With another list it is a run of its own, which takes the answers that are there.
    """
    results_out()
    asked = {
        "model": model,
        "max_workers": max_workers,
        "timeout_s": timeout,
        "retries": retries,
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "cap_tokens": cap_tokens,
        "cap_usd": cap_usd,
    }
    changes: dict[str, object] = {name: value for name, value in asked.items() if value is not None}
    if no_cap_usd:
        if cap_usd is not None:
            raise BadInput("--cap-usd sets a cap and --no-cap-usd takes it off: give one of them")
        changes["cap_usd"] = None
    settings = read_settings()
    name_sandbox(settings)
    with in_order(opened(settings)) as library:
        found = stored_commands.find(library, run)
        before = found.run.snapshot()
        batch = found.named().batch.changed(changes)
        if file is not None or any(call.status != "answered" for call in before.calls):
            stored_commands.check_dollars(before, batch)
        if file is not None:
            batch = replace(batch, prompts=_other_list(file, column, found).prompts)
            with stored_commands.nobody_else_sends(library, batch, carry_from=before.run_id):
                stored_commands.say_what_may_be_billed_twice(before, another_list=True)
                followed = follow_to_end(
                    library,
                    lambda: library.start(batch, carry_from=before.run_id),
                    order=results.value,
                    as_json=as_json,
                )
        else:

            def start() -> LiveRun:
                live = library.resume(LOCAL, before.run_id, changes=changes)
                stored_commands.say_what_is_sent(before, changes)  # only now: another process may have it
                return live

            followed = follow_to_end(library, start, order=results.value, as_json=as_json)
    raise typer.Exit(with_last_words(followed))


def _other_list(file: str, column: str | None, found: Opened) -> PromptList:
    """The list to send with the answers of a run. Raises BadInput while that run goes on."""
    if found.row.goes_on:
        raise BadInput("this run still goes on in another process: stop it first, or its prompts are sent twice")
    prompts = _read(file, column)
    stays = f"{found.row.run_id} stays as it is."
    print(f"{prompts.sentence}. Another list is a run of its own: {stays}", file=sys.stderr)
    return prompts


_STORED: Mapping[str, Callable[..., None]] = {
    "runs": stored_commands.list_runs,
    "show": stored_commands.show,
    "stop": stored_commands.stop,
    "delete": stored_commands.delete,
    "export": stored_commands.export,
    "import": stored_commands.import_file,
    "backup": stored_commands.backup,
    "restore": stored_commands.restore,
}
for _name, _command in _STORED.items():
    app.command(_name)(_command)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="The port to serve on; 0 takes a free one.")] = 8600,
    host: Annotated[str, typer.Option(help="An address of this machine's loopback.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 1,
    first_token_ms: Annotated[float, typer.Option(help="Median time to the first token.")] = 300.0,
    first_token_sigma: Annotated[float, typer.Option(help="Sigma of its lognormal.")] = 0.5,
    token_ms: Annotated[float, typer.Option(help="Median time of each further token.")] = 15.0,
    token_sigma: Annotated[float, typer.Option(help="Sigma of its lognormal.")] = 0.3,
    rpm: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens a minute.")] = None,
    rpd: Annotated[int | None, typer.Option(help="Requests a day.")] = None,
    burst: Annotated[int | None, typer.Option(help="Requests at once after a quiet while.")] = None,
    token_burst: Annotated[int | None, typer.Option(help="Tokens at once after a quiet while.")] = None,
    max_in_flight: Annotated[int | None, typer.Option(help="Requests in flight above which others get a 429.")] = None,
    headers_off: Annotated[bool, typer.Option("--headers-off", help="Tell nothing of the quota.")] = False,
    hard_window: Annotated[bool, typer.Option("--hard-window", help="Limits hold for fixed minutes.")] = False,
    rejected_burn: Annotated[bool, typer.Option("--rejected-burn", help="A 429 takes a request too.")] = False,
    other_user_share: Annotated[float, typer.Option(help="Share of the quota that another user takes.")] = 0.0,
    charge_max_tokens: Annotated[
        bool, typer.Option("--charge-max-tokens", help="Charge the longest answer asked for.")
    ] = False,
    error_rate: Annotated[float, typer.Option(help="Share of requests answered with a 500.")] = 0.0,
    hang_rate: Annotated[float, typer.Option(help="Share of requests never answered.")] = 0.0,
    truncation_rate: Annotated[float, typer.Option(help="Share of answers that end half-way.")] = 0.0,
    capacity: Annotated[int | None, typer.Option(help="Requests in flight above which latency grows.")] = None,
) -> None:
    """Serve the sandbox, an OpenAI-compatible provider that needs no key, until Ctrl+C."""
    from fanout.sandbox.serve import serve  # late: it imports the server

    profile = SandboxProfile(
        seed=seed,
        first_token_ms=first_token_ms,
        first_token_sigma=first_token_sigma,
        token_ms=token_ms,
        token_sigma=token_sigma,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        requests_per_day=rpd,
        burst=burst,
        token_burst=token_burst,
        max_in_flight=max_in_flight,
        headers=not headers_off,
        hard_window=hard_window,
        rejected_burn=rejected_burn,
        other_user_share=other_user_share,
        charge_max_tokens=charge_max_tokens,
        error_rate=error_rate,
        hang_rate=hang_rate,
        truncation_rate=truncation_rate,
        capacity=capacity,
    )
    with contextlib.suppress(KeyboardInterrupt):
        serve(port=port, host=host, profile=profile, on_ready=_say_ready)


def _say_ready(url: str) -> None:
    print(f"The sandbox answers at {url}/v1 (Ctrl+C ends it)", file=sys.stderr, flush=True)


def _read(file: str, column: str | None) -> PromptList:
    if file == "-":
        if sys.stdin is None:
            raise BadInput("standard input is closed: there are no prompts on it")
        content = _most(sys.stdin.buffer)
        return read_file(name_of_piped(content, column=column), content, column=column)
    path = Path(file)
    try:
        with path.open("rb") as opened_file:
            content = _most(opened_file)
    except OSError as exc:
        raise BadInput(f"{file} cannot be read: {exc.strerror or exc}") from exc
    return read_file(path.name, content, column=column)


def _most(source: IO[bytes]) -> bytes:
    """What is read at most and one byte more, which is refused: a device or a pipe may never end."""
    return source.read(MOST_BYTES + 1)
