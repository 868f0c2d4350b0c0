"""What the README shows works: its Python runs, its files are there, its settings are all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fanout.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples(document: Path) -> list[str]:
    """The Python to copy: it begins with our import, where a warning example of others' code does not."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL)
    return [block for block in blocks if "fanout." in block]


@pytest.mark.parametrize("example", [example for document in DOCUMENTS for example in examples(document)])
def test_the_python_of_every_document_runs_as_printed(example: str) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-"]
    done = subprocess.run(command, input=example, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "alpha" in done.stdout


def test_what_its_library_ran_is_stored() -> None:
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[-1]
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=60)
    run_id = done.stdout.splitlines()[0].split()[-1]
    command = [sys.executable, "-m", "fanout", "show", run_id]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    assert "beta" in shown.stdout


def test_an_engine_is_said_to_keep_nothing() -> None:
    assert "An `Engine` keeps nothing" in README


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert target.startswith("http") or (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_setting_is_named() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", README.split("## Settings")[1], re.MULTILINE))
    assert named == set(Settings.model_fields)
