"""The sandbox's routes: which address asks for what, under which profile.

Comes in: HTTP by way of ASGI. Goes out: a Starlette app with `/v1/...` for the profile it was made with and
`/{profile}/v1/...` for any other, spelled as `SandboxProfile.encoded()`. Opens no socket.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from itertools import count

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fanout.errors import BadInput
from fanout.sandbox import NAME, VERSION, chat, embeddings, responses
from fanout.sandbox.answers import answer, tokens
from fanout.sandbox.asked import Asked, Rejection, Reply, Stream, error_body, read_chat, read_response
from fanout.sandbox.profile import SandboxProfile
from fanout.sandbox.provider import Exchange, Provider, Tally
from fanout.sandbox.wire import MAX_BODY_BYTES, BodyTooLarge, HungUp, Wire

MAX_PROVIDERS = 1024  # the oldest idle one is forgotten first

_decoded = lru_cache(maxsize=1024)(SandboxProfile.decode)


class Sandbox:
    """All providers of one server, made as they are asked for."""

    def __init__(self, profile: SandboxProfile) -> None:
        self.profile = profile
        self.total = Tally()
        self.connections = 0
        self.numbers = count(1)
        self._providers: dict[SandboxProfile, Provider] = {}

    def provider(self, segment: str | None) -> Provider:
        """The provider of this segment of the address; None is the server's own. Raises Rejection."""
        try:
            profile = self.profile if segment is None else _decoded(segment)
        except (BadInput, TypeError) as exc:
            raise Rejection(str(exc), status=404, code="unknown_profile") from exc
        provider = self._providers.get(profile)
        if provider is None:
            self._forget_an_idle_one()
            provider = self._providers[profile] = Provider(profile, total=self.total)
        return provider

    def _forget_an_idle_one(self) -> None:
        if len(self._providers) >= MAX_PROVIDERS:
            idle = next((profile for profile, one in self._providers.items() if not one.tally.in_flight), None)
            if idle is not None:
                del self._providers[idle]


Answering = Callable[[Sandbox, Provider, Wire, bytes, str], Awaitable[None]]


class Endpoint:
    """An ASGI endpoint around one way of answering. Plain ASGI: a Request and a Response a call cost twice the time."""

    def __init__(self, sandbox: Sandbox, answering: Answering) -> None:
        self._sandbox = sandbox
        self._answering = answering

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        wire = Wire(receive, send)
        tally = self._sandbox.total
        try:
            provider = self._sandbox.provider(scope["path_params"].get("profile"))
            tally = provider.tally
            tally.add("received")
            await self._answering(self._sandbox, provider, wire, await wire.body(), _key(scope))
        except Rejection as rejection:
            tally.add("rejected")
            await wire.json(rejection.status, rejection.body)
        except BodyTooLarge:
            tally.add("rejected")
            words = f"The request is too large: the sandbox takes {MAX_BODY_BYTES} bytes."
            await wire.json(400, error_body(words, kind="invalid_request_error", code="request_too_large"))
        except HungUp:
            tally.add("hung_up")


async def _chat(sandbox: Sandbox, provider: Provider, wire: Wire, body: bytes, key: str) -> None:
    await _completion(sandbox, provider, wire, key, read_chat(body), chat.whole, chat.stream)


async def _responses(sandbox: Sandbox, provider: Provider, wire: Wire, body: bytes, key: str) -> None:
    await _completion(sandbox, provider, wire, key, read_response(body), responses.whole, responses.stream)


async def _completion(
    sandbox: Sandbox,
    provider: Provider,
    wire: Wire,
    key: str,
    asked: Asked,
    whole: Callable[[Asked, Reply], bytes],
    stream: Callable[[Asked, Reply], Stream],
) -> None:
    arrived_ns = time.monotonic_ns()
    number = next(sandbox.numbers)
    reply = reply_to(asked, seed=provider.profile.seed, number=number)
    exchange = Exchange(provider, wire, key=key, model=asked.model, arrived_ns=arrived_ns, number=number)
    cost = cost_of(asked, reply, charge_max_tokens=provider.profile.charge_max_tokens)
    if asked.stream:
        await exchange.streamed(lambda: stream(asked, reply), text=asked.text, cost_tokens=cost)
    else:
        await exchange.whole(lambda: whole(asked, reply), text=asked.text, cost_tokens=cost, tokens=len(reply.tokens))


async def _embeddings(sandbox: Sandbox, provider: Provider, wire: Wire, body: bytes, key: str) -> None:
    arrived_ns = time.monotonic_ns()
    asked = embeddings.read_embeddings(body)
    number = next(sandbox.numbers)
    exchange = Exchange(provider, wire, key=key, model=asked.model, arrived_ns=arrived_ns, number=number)
    await exchange.whole(
        lambda: embeddings.whole(asked, seed=provider.profile.seed),
        text=asked.text,
        cost_tokens=asked.prompt_tokens,
        tokens=1,
    )


def reply_to(asked: Asked, *, seed: int, number: int) -> Reply:
    """The reply to what was asked, cut at its limit on tokens."""
    pieces = tokens(answer(asked.prompt, instructions=asked.instructions, seed=seed))
    return Reply(
        number=number,
        created_s=int(time.time()),
        tokens=tuple(pieces[: asked.most_tokens]),
        complete=len(pieces) <= asked.most_tokens,
    )


def cost_of(asked: Asked, reply: Reply, *, charge_max_tokens: bool) -> int:
    """Tokens that the account is charged when a request arrives; it gets none of them back."""
    if charge_max_tokens and asked.max_tokens is not None:
        return asked.prompt_tokens + asked.max_tokens
    return asked.prompt_tokens + len(reply.tokens)


def _key(scope: Scope) -> str:
    """The API key; any will do, and none is the empty one."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((value.decode("latin-1") for name, value in headers if name == b"authorization"), "")


def make_app(sandbox: Sandbox) -> Starlette:
    """The app that answers for this sandbox."""

    async def health(request: Request) -> Response:
        return JSONResponse({"name": NAME, "version": VERSION, "simulated": True, "profile": sandbox.profile.encoded()})

    async def stats(request: Request) -> Response:
        segment = request.path_params.get("profile")
        if segment is not None:
            return JSONResponse(sandbox.provider(segment).tally.as_json())
        server = {"connections": sandbox.connections, "cpu_s": time.process_time()}
        return JSONResponse({**sandbox.total.as_json(), **server})

    async def models(request: Request) -> Response:
        sandbox.provider(request.path_params.get("profile"))
        model = {"id": "sandbox", "object": "model", "created": 0, "owned_by": "fanout"}
        return JSONResponse({"object": "list", "data": [model]})

    asked_for = {"chat/completions": _chat, "responses": _responses, "embeddings": _embeddings}
    routes = [
        Route(f"{prefix}/v1/{path}", Endpoint(sandbox, answering), methods=["POST"])
        for prefix in ("/{profile}", "")  # the first is what runs use: matched first
        for path, answering in asked_for.items()
    ]
    for prefix in ("/{profile}", ""):
        routes += [Route(f"{prefix}/v1/models", models), Route(f"{prefix}/stats", stats)]
    routes.append(Route("/health", health))
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error, Rejection: _rejection})


def _http_error(request: Request, exc: Exception) -> Response:
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    words = f"Invalid URL ({request.method} {request.url.path})"
    return Response(error_body(words, kind="invalid_request_error"), status_code=status, media_type="application/json")


def _rejection(request: Request, exc: Exception) -> Response:
    if not isinstance(exc, Rejection):
        raise exc
    return Response(exc.body, status_code=exc.status, media_type="application/json")
