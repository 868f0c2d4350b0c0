"""A store in a folder that its user may only read: what is in it is listed, shown, exported and backed up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout.store.database import FILE_NAME, url_of
from tests.stores import Kept

ROOT = Path(__file__).parent.parent
WITHIN_S = 60
"""Only ever means failure."""

pytestmark = pytest.mark.skipif(
    os.getuid() == 0 and shutil.which("setpriv") is None, reason="root may write anywhere, and setpriv is not here"
)

_DASHBOARD = """
from fanout.batch import Batch
from fanout.library import Library
from fanout.people import LOCAL
from fanout.settings import read_settings
from fanout.store.shelf import Wanted
library = Library(read_settings())
print(library.trouble)
row, = library.list(LOCAL, Wanted()).rows
print(library.find(LOCAL, row.run_id).run.snapshot().calls[1].output)
"""


@pytest.fixture
def run_id(tmp_path: Path) -> Iterator[str]:
    """A run in a store that its owner has made one to read."""
    folder = tmp_path / "store"
    with Kept(url_of(folder)) as kept:
        found = kept.answered(2).run_id
    (folder / FILE_NAME).chmod(0o400)
    folder.chmod(0o500)
    yield found
    folder.chmod(0o700)


def without_rights(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process for which the bits of files count, also where it is root's."""
    powerless = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.getuid() == 0 else []
    return subprocess.run(
        [*powerless, sys.executable, *arguments],
        env={**os.environ, "FANOUT_DATA_DIR": str(tmp_path / "store")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def test_commands_that_read_do(run_id: str, tmp_path: Path) -> None:
    listed = without_rights(tmp_path, "-m", "fanout", "runs")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert run_id in listed.stdout
    shown = without_rights(tmp_path, "-m", "fanout", "show", run_id)
    assert shown.returncode == 0, shown.stderr
    assert "answer to prompt 1" in shown.stdout
    exported = without_rights(tmp_path, "-m", "fanout", "export", run_id, "-")
    assert exported.returncode == 0, exported.stderr
    assert "answer to prompt 1" in exported.stdout
    copies = tmp_path / "copies"
    copies.mkdir()
    copied = without_rights(tmp_path, "-m", "fanout", "backup", str(copies / "copy.db"))
    assert copied.returncode == 0, copied.stderr
    assert "1 run of" in copied.stderr


def test_a_process_that_would_write_reads_and_says_why_it_holds_its_runs(run_id: str, tmp_path: Path) -> None:
    came_up = without_rights(tmp_path, "-c", _DASHBOARD)
    assert came_up.returncode == 0, came_up.stderr
    trouble, answer = came_up.stdout.splitlines()
    assert trouble == (
        "The store cannot be written (this user may not write its file and folder). "
        "Nothing further is sent until it can."
    )
    assert answer == "answer to prompt 1"


def test_a_folder_that_takes_no_file_and_holds_none_is_still_refused(run_id: str, tmp_path: Path) -> None:
    (tmp_path / "store" / FILE_NAME).unlink()
    refused = without_rights(tmp_path, "-m", "fanout", "runs")
    assert refused.returncode == 2
    assert "cannot be made: Permission denied. Set FANOUT_DATA_DIR" in refused.stderr


def test_what_a_killed_process_left_in_the_log_is_not_left_out_without_a_word(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    with Kept(url_of(tmp_path)) as kept:
        kept.answered(2)
        for name in (FILE_NAME, f"{FILE_NAME}-wal"):
            shutil.copy(tmp_path / name, folder / name)
    folder.chmod(0o500)
    refused = without_rights(tmp_path, "-m", "fanout", "runs")
    folder.chmod(0o700)
    assert refused.returncode == 2
    assert "Copy fanout.db and fanout.db-wal to a folder of yours" in refused.stderr
    assert without_rights(tmp_path, "-m", "fanout", "runs").returncode == 0
