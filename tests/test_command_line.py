"""`python -m fanout`, as a user runs it: real processes, the sandbox, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fanout.terminal import printable
from tests.killing import KEY, Counted

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "fanout"]


def fanout(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.csv"
    path.write_text("id;question\r\n1;Reply: alpha\r\n2;What is 12 * 12?\r\n3;Reply: gamma\r\n", encoding="cp1252")
    return path


def test_results_in_input_order_as_json_lines_with_a_summary_last(prompts: Path) -> None:
    done = fanout("run", str(prompts), "--column", "question", "--results", "input", "--json", "--max-workers", "3")
    assert done.returncode == 0, done.stderr
    *results, last = objects(done.stdout)
    assert [result["output"] for result in results] == ["alpha", "144", "gamma"]
    assert [result["index"] for result in results] == [0, 1, 2]
    assert set(results[0]) == {
        "index", "prompt", "status", "output", "error", "attempts", "latency_s", "experienced_s", "first_token_s",
        "usage", "cost_usd", "model",
    }  # fmt: skip
    assert last["summary"]["answered"] == 3
    assert last["summary"]["stop_reason"] == "finished"
    assert 0 < last["summary"]["lower_bound_s"] <= last["summary"]["wall_s"]
    assert done.stderr.splitlines()[0] == "3 prompts; column “question”"


def test_standard_input_may_be_text_or_json_lines() -> None:
    text = fanout("run", "-", stdin="Reply: alpha\n\n")
    lines = fanout("run", "-", stdin='{"prompt": "Reply: alpha"}\n"Reply: alpha"\n')
    assert "answered" in text.stdout
    assert text.stdout.rstrip().endswith("alpha")
    assert lines.stdout.count("alpha") == 2
    assert (text.returncode, lines.returncode) == (0, 0)


def test_a_table_on_standard_input_gives_its_column() -> None:
    done = fanout("run", "-", "--column", "question", "--json", stdin="id,question\n1,Reply: alpha\n")
    assert [result["output"] for result in objects(done.stdout)[:-1]] == ["alpha"], done.stderr
    listed = fanout("run", "-", "--json", stdin='["Reply: alpha",\n "Reply: beta"]')
    assert {result["output"] for result in objects(listed.stdout)[:-1]} == {"alpha", "beta"}


def test_letters_that_cannot_be_sent_are_said_or_refused() -> None:
    done = fanout("run", "-", "--no-store", "--json", stdin='{"prompt": "a"}\n{"prompt": "Reply: b\\ud83d"}\n')
    assert done.stderr.splitlines()[0] == "2 prompts; half a letter in 1 prompt replaced by \ufffd (line 2)"
    assert {result.get("output") for result in objects(done.stdout)} >= {"b\ufffd"}
    done = fanout("run", "-", "--instructions", "caf\udce9", stdin="a", PYTHONUTF8="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fanout: --instructions is not UTF-8")


def test_a_file_without_an_end_is_refused() -> None:
    done = fanout("run", "/dev/zero")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fanout: “zero” has more than 50 MB, the most that is read: split it\n"


def test_some_failed_is_exit_code_1_and_each_failure_is_a_line() -> None:
    done = fanout("run", "-", "--timeout", "0.001", "--retries", "0", stdin="Reply: alpha\n")
    assert done.returncode == 1
    assert "1  failed" in done.stdout
    assert "1 prompt in" in done.stderr
    assert "1 failed" in done.stderr


def test_a_run_stops_at_its_cap_with_exit_code_1_and_says_what_is_left() -> None:
    prompts = "".join(f"Reply: alpha beta gamma {number}\n" for number in range(60))
    done = fanout("run", "-", "--cap-tokens", "400", "--json", stdin=prompts)
    assert done.returncode == 1
    summary = objects(done.stdout)[-1]["summary"]
    assert 0 < summary["answered"] < 60
    assert summary["answered"] + summary["cancelled"] + summary["not_sent"] == 60
    assert summary["cap"]["allowed"] == 400
    left = 60 - summary["answered"]
    said, advice = done.stderr.splitlines()[-2:]
    assert said.endswith(f"{left} of 60 prompts left.")
    assert advice.startswith("What is missing is sent, with a higher --cap-tokens, by: python -m fanout resume ")
    again = fanout(*advice.partition("python -m fanout ")[2].split(), "--json")
    assert objects(again.stdout)[-1]["summary"]["answered"] > summary["answered"]


def test_a_cap_in_dollars_that_nobody_can_count_costs_one_call_and_is_taken_off(tmp_path: Path) -> None:
    provider = Counted()
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider.base_url, "FANOUT_DATA_DIR": str(tmp_path)}
    try:
        prompts = "".join(f"prompt {number}\n" for number in range(12))
        asked = ("run", "-", "--model", "openai-chat:counted", "--max-workers", "8", "--cap-usd", "0.5")
        done = fanout(*asked, stdin=prompts, **environment)
        assert done.returncode == 1
        assert sum(provider.prompts.values()) == 1
        before, *_, said, advice = done.stderr.splitlines()[1:]
        assert before == (
            "The price of openai-chat:counted is not known here: one call goes first, and the run stops after it "
            "unless its answer has a price. --cap-tokens caps it in tokens."
        )
        assert "the price of openai-chat:counted is not known, so nobody can count what it uses" in said
        arguments = advice.partition("python -m fanout ")[2].split()
        assert arguments[-1] == "--no-cap-usd"
        capped = fanout(*arguments[:-1], "--cap-usd", "2", **environment)
        assert (capped.returncode, capped.stdout) == (2, "")
        assert capped.stderr == (
            "fanout: the price of openai-chat:counted is not known, so nobody can count its cap of $2: "
            "take it off with --no-cap-usd; --cap-tokens caps the run in tokens\n"
        )
        both = fanout(*arguments, "--cap-usd", "2", **environment)
        assert (both.returncode, both.stdout) == (2, "")
        assert "--cap-usd sets a cap and --no-cap-usd takes it off" in both.stderr
        assert sum(provider.prompts.values()) == 1
        again = fanout(*arguments, "--cap-tokens", "100000", "--json", **environment)
        assert again.returncode == 0, again.stderr
        assert objects(again.stdout)[-1]["summary"]["answered"] == 12
        assert sum(provider.taken().values()) == 12
    finally:
        provider.close()


def test_a_run_starts_no_more_requests_a_minute_than_it_was_told() -> None:
    done = fanout("run", "-", "--rpm", "600", "--burst", "1", "--json", stdin="Reply: alpha\n" * 6)
    summary = objects(done.stdout)[-1]["summary"]
    assert summary["answered"] == 6
    assert summary["wall_s"] >= 0.5  # five more, one every 100 ms


def test_limits_of_the_settings_hold_for_the_command_line() -> None:
    limits = json.dumps({"sandbox": {"requests_per_minute": 600}})
    done = fanout("run", "-", "--rpm", "601", stdin="Reply: alpha\n", FANOUT_LIMITS=limits)
    assert done.returncode == 2
    assert "requests_per_minute must be at most 600" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "no-such-file.txt"), "no-such-file.txt cannot be read: No such file"),
        (("run", "-"), "expected at least one prompt"),
        (("run", "-", "--max-workers", "0"), "max_workers must be from 1 to 512"),
        (("run", "-", "--max-workers", "many"), "'--max-workers': Input should be a valid integer"),
        (("run", "-", "--timeout", "nan"), "timeout_s must be a number above 0"),
        (("run", "-", "--rpm", "0"), "requests_per_minute must be from 1"),
        (("run", "-", "--tpm", "0"), "tokens_per_minute must be from 1"),
        (("run", "-", "--burst", "0"), "burst must be from 1"),
        (("run", "-", "--weight", "0"), "weight must be from 1 to 100"),
        (("run", "-", "--cap-tokens", "0"), "cap_tokens must be from 1"),
        (("run", "-", "--cap-usd", "0"), "cap_usd must be a number above 0"),
        (("run", "-", "--model", "nonsense"), "names no provider"),
        (("sandbox", "--first-token-ms", "-1"), "first_token_ms must be from 0"),
        (("sandbox", "--host", "0.0.0.0"), "this machine only"),
    ],
)
def test_bad_input_is_exit_code_2_and_a_sentence(arguments: tuple[str, ...], says: str) -> None:
    done = fanout(*arguments, stdin="" if arguments == ("run", "-") else "Reply: alpha\n")
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_missing_key_is_said_before_anything_is_sent() -> None:
    done = fanout("run", "-", "--model", "openai:gpt-x", stdin="Reply: alpha\n", OPENAI_API_KEY="", OPENAI_BASE_URL="")
    assert done.returncode == 2
    assert "OPENAI_API_KEY" in done.stderr


@pytest.mark.parametrize("stores", [(), ("--no-store",)])
@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_tells_every_prompt_once_and_is_exit_code_130(
    which: signal.Signals, stores: tuple[str, ...]
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", "-", "--json", "--max-workers", "20", *stores],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("Reply: alpha\n" * 500)
    process.stdin.close()
    first = json.loads(process.stdout.readline())
    process.send_signal(which)
    rest = process.stdout.read()
    assert process.wait(30) == 130
    *told, last = objects(rest)
    summary = last["summary"]
    assert first["output"] == "alpha"
    assert sorted(each["index"] for each in (first, *told)) == list(range(500))
    assert sum(each["status"] == "answered" for each in (first, *told)) == summary["answered"]
    assert summary["stop_reason"] == "interrupted"
    assert summary["answered"] >= 1
    assert summary["answered"] + summary["cancelled"] + summary["not_sent"] == 500
    process.stdout.close()
    assert process.stderr is not None
    process.stderr.close()


SLOW_IMPORT = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            print("importing", flush=True)
            time.sleep(30)
sys.meta_path.insert(0, Slow())
import runpy
sys.argv = ["fanout", "runs"]
runpy.run_module("fanout", run_name="__main__", alter_sys=True)
"""


def test_an_interrupt_while_modules_are_imported_is_exit_code_130_without_a_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_IMPORT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()


def test_nothing_is_imported_before_an_interrupt_is_taken_care_of() -> None:
    code = "import sys; before = set(sys.modules); import fanout.__main__; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = [name for name in eval(done.stdout) if name.startswith("fanout")]
    assert ours == ["fanout", "fanout.__main__"]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a terminal that is closed sends it")
def test_nohup_keeps_its_word(tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["nohup", *COMMAND, "run", "-", "--json", "--max-workers", "4"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("Reply: alpha\n" * 40)
    process.stdin.close()
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    *_, last = objects(process.stdout.read())
    assert process.wait(30) == 0
    assert last["summary"]["answered"] == 40
    process.stdout.close()


def test_a_reader_that_leaves_ends_the_run_without_a_traceback() -> None:
    line = " ".join([*COMMAND, "run", "-", "--max-workers", "1"])
    done = subprocess.run(
        ["bash", "-c", f"yes 'Reply: alpha' | head -200 | {line} | head -1; echo ${{PIPESTATUS[2]}}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer, code = done.stdout.splitlines()
    assert answer.endswith("alpha")
    assert code == "1"
    assert "Traceback" not in done.stderr


def test_the_sandbox_command_serves_until_it_is_interrupted() -> None:
    process = subprocess.Popen([*COMMAND, "sandbox", "--port", "0"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = process.stderr.readline().split()[4].removesuffix("/v1")
    done = fanout("run", "-", stdin="Reply: alpha\n", FANOUT_SANDBOX_URL=url)
    assert done.stdout.rstrip().endswith("alpha")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stderr.close()


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b]0;title\x07b\u202ec\n\t\x9b") == "a\\x1b]0;title\\x07b\\u202ec\n\t\\x9b"
