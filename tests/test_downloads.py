"""Downloads that are refused: what Streamlit's own handler of them logs."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.backend_operation_handler import DeferredFileHandler
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from dashboard import downloads  # noqa: F401  # once imported, its filter is in its place
from fanout.store import NoSuchRun


def pressed(makes: Callable[[], str], caplog: pytest.LogCaptureFixture) -> str:
    """What comes back when a download is pressed whose file is made like this."""
    files = MediaFileManager(MemoryMediaFileStorage("/media"))
    file_id = files.add_deferred(makes, "text/csv", "0.0.1", file_name="run.csv")
    request = BackMsg().backend_operation_request
    request.request_id, request.deferred_file.file_id = "1", file_id
    logger = logging.getLogger("streamlit.runtime.backend_operation_handler")
    logger.addHandler(caplog.handler)
    try:
        return asyncio.run(DeferredFileHandler(lambda: files).handle(request, "session")).error_msg
    finally:
        logger.removeHandler(caplog.handler)


def test_a_run_that_was_withdrawn_leaves_a_line_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def withdrawn() -> str:
        raise NoSuchRun("no such run")

    assert pressed(withdrawn, caplog)
    assert "a download was refused: no such run" in caplog.text
    assert "Traceback" not in caplog.text
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_bug_of_ours_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> str:
        raise ZeroDivisionError("ours")

    assert pressed(broken, caplog)
    assert "Traceback" in caplog.text
    assert "ZeroDivisionError" in caplog.text
