"""Embeddings: unit vectors drawn from each text, the same every time.

Comes in: the body of `POST embeddings`. Goes out: the bytes of its list of vectors, as numbers or as base64 of 32-bit
floats, which the OpenAI SDK asks for. Equal texts have equal vectors; nothing else can be read from them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from fanout.sandbox.answers import estimated_tokens
from fanout.sandbox.asked import MAX_PROMPT_TOKENS, Rejection, model_of, read_object

STANDARD_DIMENSIONS = 256
MAX_DIMENSIONS = 3072
MAX_INPUTS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsAsked:
    """The vectors that are asked for."""

    model: str
    inputs: tuple[str, ...]
    dimensions: int
    as_base64: bool

    @property
    def text(self) -> str:
        """All inputs: latency is drawn from it."""
        return "\n".join(self.inputs)

    @property
    def prompt_tokens(self) -> int:
        """Tokens sent, estimated."""
        return sum(estimated_tokens(text) for text in self.inputs)


def read_embeddings(body: bytes) -> EmbeddingsAsked:
    """What `POST embeddings` asks for; raises Rejection."""
    values = read_object(body)
    form = values.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise Rejection("'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
    asked = EmbeddingsAsked(
        model=model_of(values),
        inputs=_inputs(values.get("input")),
        dimensions=_dimensions(values),
        as_base64=form == "base64",
    )
    if asked.prompt_tokens > MAX_PROMPT_TOKENS:
        raise Rejection(f"All inputs together may have {MAX_PROMPT_TOKENS} tokens.", param="input")
    return asked


def whole(asked: EmbeddingsAsked, *, seed: int) -> bytes:
    """The list of vectors, in the order of the inputs."""
    vectors = [
        {"object": "embedding", "index": index, "embedding": _encoded(unit_vector(text, asked.dimensions, seed), asked)}
        for index, text in enumerate(asked.inputs)
    ]
    usage = {"prompt_tokens": asked.prompt_tokens, "total_tokens": asked.prompt_tokens}
    return json.dumps({"object": "list", "data": vectors, "model": asked.model, "usage": usage}).encode()


def unit_vector(text: str, dimensions: int, seed: int) -> array[float]:
    """A vector of length 1 drawn from the text and the seed."""
    drawn = hashlib.shake_256(seed.to_bytes(8, "big") + text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    numbers = array("h", drawn)
    if sys.byteorder == "big":
        numbers.byteswap()
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return array("f", [number / length for number in numbers])


def _encoded(vector: array[float], asked: EmbeddingsAsked) -> object:
    if not asked.as_base64:
        return vector.tolist()
    if sys.byteorder == "big":
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()


def _inputs(sent: object) -> tuple[str, ...]:
    """A text, texts, or either of them in token numbers."""
    if isinstance(sent, str) or _is_numbers(sent):
        sent = [sent]
    if not isinstance(sent, list) or not sent or len(sent) > MAX_INPUTS:
        raise Rejection(f"'input' must be a text or a list of 1 to {MAX_INPUTS} texts.", param="input")
    for one in sent:
        if not (isinstance(one, str) and one) and not _is_numbers(one):
            raise Rejection("Each of 'input' must be a text that is not empty.", param="input")
    return tuple(one if isinstance(one, str) else " ".join(map(str, one)) for one in sent)


def _is_numbers(sent: object) -> bool:
    return isinstance(sent, list) and bool(sent) and all(type(number) is int for number in sent)


def _dimensions(values: Mapping[str, object]) -> int:
    sent = values.get("dimensions")
    if sent is None:
        return STANDARD_DIMENSIONS
    if isinstance(sent, bool) or not isinstance(sent, int) or not 1 <= sent <= MAX_DIMENSIONS:
        raise Rejection(f"'dimensions' must be a whole number from 1 to {MAX_DIMENSIONS}.", param="dimensions")
    return sent
