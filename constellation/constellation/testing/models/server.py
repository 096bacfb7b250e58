"""An OpenAI-compatible HTTP server whose model is a script or rules: real sockets, on loopback only, no model.

What goes through it goes through the real client libraries. It answers `POST /v1/chat/completions`, streamed or whole,
and `GET /v1/models`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Any, Self

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute, TaskGroup
from anyio.streams.stapled import MultiListener

from ..errors import UnexpectedStep, UnusedSteps
from .answers import Answer, Fault, Hangup, Raw, Reply, Rule, SeenRequest
from .connection import ClientLeft, Connection
from .rendering import chunks, completion

HOST = "127.0.0.1"
"""The only address that it listens on."""

JSON = {"content-type": "application/json"}


class ModelServer:
    """A server for tests: `async with ModelServer(["hello"]) as server:`, and the model's string is `server.model`.

    Rules are asked first, in their order; what none of them answers takes the script's next answer. With a script, it
    sees in the end that all of it was used. Without any answer it is a fault of the test, told in the end as well.

    Attributes:
        requests: The chat completions that were asked for, in order.
        listings: How often the list of models was asked for.
    """

    def __init__(
        self,
        script: Iterable[Answer | str] = (),
        *,
        rules: Iterable[Rule] = (),
        models: Iterable[str] = ("scripted",),
        owned_by: str = "constellation",
        api_key: str | None = None,
        port: int = 0,
        remember: bool = True,
    ) -> None:
        """Describe a server.

        Args:
            script: What it answers, in order; text is a reply that says it.
            rules: Functions that are asked before the script.
            models: The names of the models that it lists.
            owned_by: What the list says of their owner, by which kinds of server are told apart.
            api_key: The key that it wants; None to take any.
            port: Where it listens; any free port when 0.
            remember: Whether it keeps the requests that came; False for one that serves very many.
        """
        self._script = deque(script)
        self._rules = tuple(rules)
        self._models = tuple(models)
        self._owner = owned_by
        self._key = api_key
        self._port = port
        self._remember = remember
        self._count = 0
        self._unexpected = ""
        self._stack = AsyncExitStack()
        self.requests: list[SeenRequest] = []
        self.listings = 0
        self._came = anyio.Event()

    @property
    def url(self) -> str:
        """The base URL, with `/v1`."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def model(self) -> str:
        """A model string for it."""
        return f"compatible/{self._models[0]}@{self.url}"

    def add(self, *answers: Answer | str) -> None:
        """Add to the script."""
        self._script += answers

    async def request(self, number: int = 0) -> SeenRequest:
        """The request of this number, from 0, once it has come."""
        while len(self.requests) <= number:
            await self._came.wait()
        return self.requests[number]

    async def __aenter__(self) -> Self:
        listener = await anyio.create_tcp_listener(local_host=HOST, local_port=self._port)
        assert isinstance(listener, MultiListener)
        self._port = listener.extra(SocketAttribute.local_port)
        await self._stack.enter_async_context(listener)
        group: TaskGroup = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(group.cancel_scope.cancel)
        group.start_soon(listener.serve, self._serve)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        if kind is None:
            self.check_used_up()

    def check_used_up(self) -> None:
        """See that everything went as scripted.

        Raises:
            UnexpectedStep: a request came that nothing was there for.
            UnusedSteps: answers of the script were not asked for.
        """
        if self._unexpected:
            raise UnexpectedStep(self._unexpected)
        if self._script:
            raise UnusedSteps(f"the script was not used up: {len(self._script)} answers were not asked for")

    async def _serve(self, stream: ByteStream) -> None:
        async with stream:
            connection = Connection(stream)
            try:
                async with aclosing(connection.requests()) as requests:
                    async for seen in requests:
                        try:
                            await self._answer(connection, seen)
                        except ClientLeft:
                            seen.left.set()
                            return
                        except _Broken:
                            return
            except (h11.RemoteProtocolError, ValueError):
                return  # what is no HTTP, or no JSON, gets no answer

    async def _answer(self, connection: Connection, seen: SeenRequest) -> None:
        if self._key is not None and seen.headers.get("authorization") != f"Bearer {self._key}":
            fault = Fault(401, "Incorrect API key provided", "invalid_api_key")
            await connection.whole(401, json.dumps(fault.to_json()).encode(), JSON)
        elif (seen.method, seen.path) == ("GET", "/v1/models"):
            self.listings += 1
            entries = [{"id": name, "object": "model", "created": 0, "owned_by": self._owner} for name in self._models]
            await connection.whole(200, json.dumps({"object": "list", "data": entries}).encode(), JSON)
        elif (seen.method, seen.path) == ("POST", "/v1/chat/completions"):
            number = self._count
            self._count += 1
            if self._remember:
                self.requests.append(seen)
            self._came.set()
            self._came = anyio.Event()
            await self._give(connection, seen, self._next(seen), number)
        else:
            fault = Fault(404, f"there is no {seen.method} {seen.path}")
            await connection.whole(404, json.dumps(fault.to_json()).encode(), JSON)

    def _next(self, seen: SeenRequest) -> Answer:
        for rule in self._rules:
            answer = rule(seen)
            if answer is not None:
                return Reply(answer) if isinstance(answer, str) else answer
        if not self._script:
            self._unexpected = self._unexpected or (
                f"request {self._count - 1} came, but the script is at its end: {_last_words(seen)!r}"
            )
            return Fault(400, "the script is at its end")
        step = self._script.popleft()
        return Reply(step) if isinstance(step, str) else step

    async def _give(self, connection: Connection, seen: SeenRequest, answer: Answer, number: int) -> None:
        match answer:
            case Fault():
                body = json.dumps(answer.to_json()).encode()
                await connection.whole(answer.status, body, {**JSON, **answer.headers})
            case Raw():
                await connection.whole(answer.status, answer.body, {"content-type": answer.media_type})
            case Hangup():
                raise _Broken
            case Reply():
                if not await connection.while_there(lambda: self._reply(connection, seen.body, answer, number)):
                    raise _Broken

    async def _reply(self, connection: Connection, body: Mapping[str, Any], reply: Reply, number: int) -> bool:
        """Send a reply; returns False where the script wants it to be cut."""
        model = str(body.get("model", ""))
        gate = reply.gate
        if not body.get("stream"):
            if gate is not None:
                await gate.wait()
            whole = completion(reply, model=model, number=number)
            await connection.whole(200, json.dumps(whole).encode(), {**JSON, **reply.headers})
            return True
        if gate is not None and gate.pieces == 0:
            await gate.wait()
        await connection.begin(reply.headers)
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        for sent, chunk in enumerate(chunks(reply, model=model, number=number, with_usage=with_usage)):
            if reply.break_after == sent:
                return False
            if gate is not None and gate.pieces == sent > 0:
                await gate.wait()
            await connection.event(json.dumps(chunk, ensure_ascii=False))
        await connection.event("[DONE]")
        await connection.end()
        return True


class _Broken(Exception):
    """The script wants the connection to be cut."""


def _last_words(seen: SeenRequest) -> str:
    messages = seen.body.get("messages") or [{}]
    return str(messages[-1].get("content"))[-200:]
