"""The words of the command line about stored runs, as a user types them: exit codes, lines, sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fanout.people import LOCAL
from fanout.store.database import open_database, url_of
from fanout.store.shelf import Shelf
from tests.killing import Command, Forge, forge
from tests.stores import Kept, eventually

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """Forks the commands of this module: all use one store."""
    folder = tmp_path_factory.mktemp("commands")
    with forge(folder, FANOUT_DATA_DIR=str(folder / "data"), TZ="UTC") as made:
        made.folder = folder  # type: ignore[attr-defined]
        yield made


@pytest.fixture
def say(warm: Forge) -> Callable[..., tuple[int, str, str]]:
    """Runs a command: its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        command = warm.start(*arguments)
        code = warm.wait(command)
        return code, command.out.read_text(), command.said()

    return run


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(warm: Forge) -> Path:
    folder: Path = warm.folder  # type: ignore[attr-defined]
    return folder


def file_with(folder: Path, *prompts: str) -> str:
    path = folder / f"prompts{len(list(folder.iterdir()))}.txt"
    path.write_text("".join(f"{prompt}\n" for prompt in prompts))
    return str(path)


def run_one(say: Say, data: Path, *prompts: str, options: tuple[str, ...] = ()) -> str:
    """A stored run's id."""
    code, out, err = say("run", file_with(data, *prompts), "--json", *options)
    assert code == 0, err
    run_id: str = json.loads(out.splitlines()[-1])["summary"]["run_id"]
    return run_id


def test_a_run_is_listed_shown_and_exported_in_every_format(say: Say, data: Path, tmp_path: Path) -> None:
    run_id = run_one(say, data, "Reply: alpha", "Reply: beta", options=("--name", "Élan \x1b[31m"))
    code, out, err = say("runs", "élan")
    assert (code, err) == (0, "")
    assert out.startswith(run_id)
    assert "finished  2 of 2 answered" in out or "ended  2 of 2 answered" in out
    assert "\x1b" not in out
    code, out, _ = say("runs", "--json", run_id)
    row = json.loads(out)
    assert (row["run_id"], row["prompts"], row["answered"], row["state"]) == (run_id, 2, 2, "ended")
    code, out, err = say("show", run_id[:8], "--json")
    *results, last = map(json.loads, out.splitlines())
    assert code == 0
    assert [result["output"] for result in results] == ["alpha", "beta"]
    assert last["summary"]["run_id"] == run_id
    for format, holds in {
        "csv": "alpha",
        "jsonl": '"output":',
        "trace": "traceEvents",
        "html": "<html",
        "run": '"kind": "fanout_run"',
    }.items():
        target = tmp_path / f"out.{format}"
        code, out, err = say("export", run_id, str(target), "--format", format)
        assert (code, out) == (0, ""), err
        assert holds in target.read_text(encoding="utf-8-sig").replace('":"', '": "')
    code, out, _ = say("export", run_id, "-")
    assert code == 0
    assert [json.loads(line)["output"] for line in out.splitlines()] == ["alpha", "beta"]


def test_an_exported_run_is_imported_here_and_on_another_machine(say: Say, data: Path, tmp_path: Path) -> None:
    run_id = run_one(say, data, "Reply: alpha", "Reply: beta")
    target = tmp_path / "run.jsonl"
    assert say("export", run_id, str(target), "--format", "run")[0] == 0
    code, out, err = say("import", str(target))
    assert code == 0, err
    assert out.strip() != run_id  # it is here already: the copy has an id of its own
    assert say("show", out.strip())[0] == 0
    with forge(tmp_path, FANOUT_DATA_DIR=str(tmp_path / "elsewhere")) as other:
        command = other.start("import", str(target))
        assert other.wait(command) == 0, command.said()
        assert command.out.read_text().strip() == run_id
        again = other.start("show", run_id, "--json")
        assert other.wait(again) == 0
        assert [line["output"] for line in again.lines()[:-1]] == ["alpha", "beta"]
        exported = other.start("export", run_id, "-", "--format", "run")
        assert other.wait(exported) == 0
        assert exported.out.read_bytes() == target.read_bytes()  # nothing was lost or changed on the way


def test_what_is_written_of_a_run_bears_the_name_that_it_has_now(say: Say, data: Path, tmp_path: Path) -> None:
    run_id = run_one(say, data, "Reply: zeta", options=("--name", "secret plan"))
    database = open_database(url_of(data / "data"))
    shelf = Shelf(database)
    shelf.rename(LOCAL, run_id, "weekly report")
    shelf.tag(LOCAL, run_id, ("weekly",))
    code, out, _ = say("show", run_id, "--json")
    assert (code, json.loads(out.splitlines()[-1])["summary"]["name"]) == (0, "weekly report")
    for format in ("csv", "jsonl", "trace", "html", "run"):
        code, out, err = say("export", run_id, "-", "--format", format)
        assert (code, err) == (0, "")
        assert "secret plan" not in out
    (tmp_path / "run").write_text(out)
    code, out, err = say("import", str(tmp_path / "run"))
    assert code == 0, err
    row = json.loads(say("runs", "--json", out.strip())[1])
    assert (row["name"], row["tags"]) == ("weekly report", ["weekly"])
    code, out, err = say("resume", run_id, file_with(data, "Reply: zeta", "Reply: eta"), "--json")
    assert (code, json.loads(out.splitlines()[-1])["summary"]["name"]) == (0, "weekly report"), err
    database.close()


def test_deleting_asks_first_and_is_for_good(say: Say, data: Path) -> None:
    run_id = run_one(say, data, "Reply: gamma")
    code, _, err = say("delete", run_id)  # standard input is empty: nobody says yes
    assert code == 1
    assert f"Delete {run_id}, 1 answers, for good?" in err
    assert say("show", run_id)[0] == 0
    assert say("delete", run_id, "--yes") == (0, "", f"Deleted {run_id}.\n")
    code, out, err = say("show", run_id)
    assert (code, out, err) == (2, "", f"fanout: there is no run '{run_id}': `python -m fanout runs` lists them\n")


@pytest.mark.parametrize("word", ["show", "resume", "stop", "delete", "export"])
def test_a_run_that_is_not_there_is_exit_code_2_and_a_sentence(say: Say, word: str) -> None:
    rest = ("-",) if word == "export" else ()
    for name in ("nothing", "%", "x" * 500, "\udcff"):
        code, out, err = say(word, name, *rest)
        assert (code, out) == (2, "")
        assert err.startswith("fanout: there is no run ")
        assert "Traceback" not in err


def test_what_cannot_be_done_is_exit_code_2_and_a_sentence(say: Say, data: Path, tmp_path: Path) -> None:
    run_id = run_one(say, data, "Reply: alpha")
    (tmp_path / "bad").write_text("not a run\n")
    cases = {
        ("stop", run_id): "this run does not go on",
        ("import", str(tmp_path / "bad")): "line 1: expected a JSON object",
        ("import", str(tmp_path / "none")): "none cannot be read: No such file",
        ("export", run_id, str(tmp_path / "no" / "file")): "cannot be written: No such file",
        ("export", run_id, "-", "--format", "nonsense"): "'--format'",
        ("backup", str(tmp_path / "bad")): "is there already",
        ("restore", str(tmp_path / "bad")): "no backup of a store",
        ("backup", str(tmp_path)): "is a folder: name a file in it",
        ("backup", str(tmp_path / "no" / "file")): f"there is no folder {tmp_path / 'no'}. Make it, or name another",
        ("restore", str(tmp_path / "none")): "is not there: name a file that `backup` wrote",
        ("restore", str(tmp_path)): "is a folder: name a file that `backup` wrote",
        ("resume", run_id, "--max-workers", "0"): "max_workers must be from 1",
        ("resume", run_id, "--model", "nonsense"): "names no provider",
    }
    for arguments, says in cases.items():
        code, out, err = say(*arguments)
        assert (code, out) == (2, ""), arguments
        assert says in err
        assert "Traceback" not in err
        assert "Errno" not in err


def test_a_backup_is_restored_after_a_yes(say: Say, data: Path, tmp_path: Path) -> None:
    run_id = run_one(say, data, "Reply: alpha")
    stored = len(say("runs", "--json", "--limit", "1000")[1].splitlines())
    wrote = f"{stored} run{'s' * (stored != 1)} of {data / 'data' / 'fanout.db'}"
    assert say("backup", str(tmp_path / "copy.db"))[::2] == (0, f"Wrote {tmp_path / 'copy.db'}: {wrote}.\n")
    assert say("delete", run_id, "--yes")[0] == 0
    code, _, err = say("restore", str(tmp_path / "copy.db"))
    assert code in (0, 2)
    if code == 2:
        assert "restore with --yes" in err
        assert say("restore", str(tmp_path / "copy.db"), "--yes")[0] == 0
    assert say("show", run_id)[0] == 0


def test_a_run_that_was_not_to_be_kept_is_not(say: Say, data: Path) -> None:
    before = say("runs", "--json", "--limit", "10000")[1]
    code, _, err = say("run", file_with(data, "Reply: alpha"), "--no-store")
    assert code == 0, err
    assert say("runs", "--json", "--limit", "10000")[1] == before


def test_a_list_that_is_longer_says_so_and_an_empty_one_too(say: Say, data: Path) -> None:
    for _ in range(2):
        run_one(say, data, "Reply: alpha")
    code, out, err = say("runs", "--limit", "1")
    assert code == 0
    assert len(out.splitlines()) == 1
    assert "1 of " in err
    assert "--limit shows more" in err
    assert say("runs", "no-such-word-anywhere") == (0, "", "No run is found by these words.\n")


def test_a_resume_with_a_longer_list_sends_what_is_new(say: Say, data: Path) -> None:
    run_id = run_one(say, data, "Reply: alpha", "Reply: beta")
    longer = file_with(data, "Reply: gamma", "Reply: beta", "Reply: alpha")
    code, out, err = say("resume", run_id, longer, "--json", "--results", "input")
    assert code == 0, err
    assert err == f"3 prompts. Another list is a run of its own: {run_id} stays as it is.\n"
    *results, last = map(json.loads, out.splitlines())
    assert [result["output"] for result in results] == ["gamma", "beta", "alpha"]
    assert [result["attempts"] for result in results] == [1, 0, 0]
    assert last["summary"]["run_id"] != run_id
    assert last["summary"]["reused"] == 2


def test_answers_are_reused_and_identical_prompts_sent_once(say: Say, data: Path) -> None:
    prompts = ("Reply: delta", "Reply: delta", "Reply: epsilon")
    run_one(say, data, *prompts, options=("--identical-once",))
    code, out, _ = say("run", file_with(data, *prompts), "--reuse-answers", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["summary"]["reused"] == 3


def test_a_run_is_stopped_from_another_terminal(warm: Forge, say: Say, data: Path) -> None:
    slow = file_with(data, *(f"Reply: {number}" for number in range(300)))
    command = warm.start("run", slow, "--json", "--max-workers", "1", "--name", "stopped elsewhere")
    eventually(lambda: command.lines())
    _, out, _ = say("runs", "--json", "stopped", "elsewhere")
    run_id = json.loads(out)["run_id"]
    code, out, err = say("delete", run_id, "--yes")
    assert (code, out) == (2, "")
    assert "still goes on" in err
    code, out, err = say("resume", run_id)
    assert code == 2
    assert "still goes on in another process" in err
    code, out, err = say("resume", run_id, slow)
    assert (code, out) == (2, ""), "another list would send the same prompts beside it"
    assert "still goes on in another process" in err
    assert say("show", run_id, "--json")[0] == 0
    code, _, err = say("stop", run_id)
    assert (code, err) == (0, "Asked: it starts nothing further from the next second on.\n")
    assert warm.wait(command) == 1
    assert command.lines()[-1]["summary"]["stop_reason"] == "stopped"
    _, out, _ = say("runs", "--json", run_id)
    assert json.loads(out)["stop_reason"] == "stopped"


def test_a_store_that_cannot_be_opened_is_exit_code_2_and_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "fanout.db").write_text("Dear diary\n" * 100)
    done = subprocess.run(
        [sys.executable, "-m", "fanout", "runs"],
        cwd=ROOT,
        env={**os.environ, "FANOUT_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fanout: the store sqlite:///{tmp_path}/fanout.db cannot be opened: file is not a database\n"


def test_answers_that_hold_half_a_letter_are_shown_and_exported(tmp_path: Path) -> None:
    """A provider may send an unpaired surrogate: it is kept, and what cannot be written as UTF-8 is replaced."""
    with Kept(url_of(tmp_path / "data")) as kept:
        live = kept.start(1, name="half")
        kept.sent(0).answer("before\ud800after")
        assert live.wait(20)
        run_id = live.run_id
    with forge(tmp_path, FANOUT_DATA_DIR=str(tmp_path / "data")) as other:
        commands: list[tuple[str, ...]] = [("show", run_id), ("show", run_id, "--json")]
        commands += [("export", run_id, "-", "--format", each) for each in ("csv", "jsonl", "trace", "html", "run")]
        for arguments in commands:
            command: Command = other.start(*arguments)
            assert other.wait(command) == 0, (arguments, command.said())
            text = command.out.read_bytes().decode()
            assert "before" in text or arguments[-1] == "trace"
        last: Any = other.start("export", run_id, str(tmp_path / "run"), "--format", "run")
        assert other.wait(last) == 0, last.said()
        imported = other.start("import", str(tmp_path / "run"))
        assert other.wait(imported) == 0, imported.said()
