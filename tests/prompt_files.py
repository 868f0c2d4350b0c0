"""A file of prompts as it is read, or the sentence that refuses it."""

from __future__ import annotations

import pytest

from fanout.errors import BadInput
from fanout.prompts import PromptList, read_file
from fanout.prompts.prompt_list import is_blank


def refusal(name: str, content: bytes | str, *, column: str | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        read_file(name, content.encode() if isinstance(content, str) else content, column=column)
    return str(caught.value)


def is_seen(text: str) -> bool:
    """Whether it is a prompt and no blank, for texts drawn at random."""
    return not is_blank(text)


def read(name: str, text: str, *, column: str | None = None) -> PromptList:
    return read_file(name, text.encode(), column=column)
