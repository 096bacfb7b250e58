"""Recordings of what models have answered, and models that answer from them, without a network.

A cassette is a file of JSON lines: a line that says what it is, then one per answer, with the fingerprint of the
request that it answered. Secrets are scrubbed before anything is written, and before a fingerprint is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

from . import errors
from .errors import CassetteError, InvalidOutput, ProviderError
from .messages import Message, Text
from .model import Delta, Model, ModelRequest, ModelResponse, ReasoningDelta, ResponseStream, TextDelta, ToolUseDelta
from .scrubbing import scrub
from .usage import Usage

VERSION = 1

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class _Head:
    cassette: Literal[1]
    model: str


@dataclass(frozen=True, slots=True)
class _Recorded:
    """An answer; of a request that failed, `error` names the class, and `text` is what it said."""

    fingerprint: str
    asked: str
    message: Message | None = None
    finish_reason: str = "other"
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    provider: str = ""
    id: str = ""
    error: str = ""
    text: str = ""
    status: int | None = None
    code: str = ""


_HEAD: TypeAdapter[_Head] = TypeAdapter(_Head)
_RECORDED: TypeAdapter[_Recorded] = TypeAdapter(_Recorded)
_MESSAGES: TypeAdapter[tuple[Message, ...]] = TypeAdapter(tuple[Message, ...])

_ERRORS: dict[str, type[ProviderError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ProviderError)
}


def fingerprint(request: ModelRequest, secrets: Iterable[str] = ()) -> str:
    """What tells requests apart: all that a model is asked. Hints and time limits do not change what is asked."""
    asked = {
        "messages": _MESSAGES.dump_python(request.messages, mode="json"),
        "tools": [[tool.name, tool.description, dict(tool.input_schema)] for tool in request.tools],
        "tool_choice": request.tool_choice,
        "output": None if request.output is None else request.output.schema,
        "limits": [request.max_tokens, request.temperature, list(request.stop), request.effort],
    }
    text = scrub(json.dumps(asked, sort_keys=True, ensure_ascii=False), secrets)
    return hashlib.sha256(text.encode()).hexdigest()


def _asked(request: ModelRequest, secrets: Iterable[str]) -> str:
    """The end of what was said last, for people who read a cassette."""
    return scrub(request.messages[-1].text if request.messages else "", secrets)[-_SHOWN:]


class RecordingModel:
    """A model that answers what another one does, and writes it down.

    What fails is written down as well, and fails again in the replay. A request that is cancelled leaves no trace.
    """

    def __init__(self, model: Model, path: str | Path, *, secrets: Iterable[str] = ()) -> None:
        """Record to a file, which is made anew and can be read by its owner only.

        Args:
            model: Who answers.
            path: The cassette.
            secrets: What must not be written down, besides what looks like a key.

        Raises:
            OSError: the file can't be written.
        """
        self._model = model
        self._secrets = tuple(secrets)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(handle, "w", encoding="utf-8")
        self._write(_HEAD.dump_json(_Head(1, model.name)))

    @property
    def name(self) -> str:
        """The model string of the one who answers."""
        return self._model.name

    async def respond(self, request: ModelRequest) -> ModelResponse:
        """Answer as a whole."""
        try:
            response = await self._model.respond(request)
        except (ProviderError, InvalidOutput) as error:
            self._keep_error(request, error)
            raise
        self._keep(request, response)
        return response

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[ResponseStream]:
        """Answer piece by piece; written down when it is whole."""
        try:
            async with self._model.stream(request) as stream:
                yield stream
                try:
                    response = stream.response
                except RuntimeError:
                    return  # it was left before its end, so there is nothing that could be replayed
        except (ProviderError, InvalidOutput) as error:
            self._keep_error(request, error)
            raise
        self._keep(request, response)

    def _keep(self, request: ModelRequest, response: ModelResponse) -> None:
        self._write(
            _RECORDED.dump_json(
                _Recorded(
                    fingerprint(request, self._secrets),
                    _asked(request, self._secrets),
                    response.message,
                    response.finish_reason,
                    response.usage,
                    response.model,
                    response.provider,
                    response.id,
                )
            )
        )

    def _keep_error(self, request: ModelRequest, error: ProviderError | InvalidOutput) -> None:
        if isinstance(error, InvalidOutput):  # an answer all the same, which will be as wrong in the replay
            answer = Message("assistant", (Text(error.text),))
            self._keep(request, ModelResponse(answer, "stop", error.usage or Usage(), "", ""))
            return
        recorded = _Recorded(
            fingerprint(request, self._secrets),
            _asked(request, self._secrets),
            provider=error.provider,
            error=type(error).__name__,
            text=str(error.args[0]),
            status=error.status,
            code=error.code,
        )
        self._write(_RECORDED.dump_json(recorded))

    def _write(self, line: bytes) -> None:
        self._file.write(scrub(line.decode(), self._secrets) + "\n")
        self._file.flush()

    async def aclose(self) -> None:
        """Close the file and the model."""
        self._file.close()
        await self._model.aclose()


class ReplayModel:
    """A model that answers from a cassette: the same request gets the same answer, repeated ones in their order.

    Requests are known by what they ask, so those that were made at once may come in any order.
    """

    def __init__(self, path: str | Path, *, secrets: Iterable[str] = (), in_order: bool = False) -> None:
        """Read a cassette.

        Args:
            path: The file.
            secrets: Those that it was recorded with.
            in_order: Whether a request that was not recorded in so many words is given the first answer that is left.
                For conversations whose requests tell of what went on elsewhere at the time, one after the other.

        Raises:
            CassetteError: it can't be read, or is no cassette.
        """
        self._path = Path(path)
        self._secrets = tuple(secrets)
        self._in_order = in_order
        self._answers: list[_Recorded | None] = []
        self._places: dict[str, deque[int]] = {}
        try:
            lines = self._path.read_bytes().splitlines()
            self._head = _HEAD.validate_json(lines[0] if lines else b"")
            for line in lines[1:]:
                recorded = _RECORDED.validate_json(line)
                self._places.setdefault(recorded.fingerprint, deque()).append(len(self._answers))
                self._answers.append(recorded)
        except OSError as error:
            raise CassetteError(f"the cassette can't be read: {error}") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise CassetteError(f"{self._path} is no cassette of version {VERSION}: {first['msg']}") from None

    @property
    def name(self) -> str:
        """The model string of the one who was recorded."""
        return self._head.model

    @property
    def remaining(self) -> int:
        """How many answers were not asked for yet."""
        return sum(recorded is not None for recorded in self._answers)

    async def respond(self, request: ModelRequest) -> ModelResponse:
        """Answer as a whole.

        Raises:
            CassetteError: nothing was recorded for this request, or all of it has been replayed.
            ProviderError: that is what was recorded.
        """
        recorded = self._next(request)
        if recorded.error or recorded.message is None:
            kind = _ERRORS.get(recorded.error, ProviderError)
            raise kind(recorded.text, provider=recorded.provider, status=recorded.status, code=recorded.code)
        finish: Any = recorded.finish_reason
        output = None
        if request.output is not None:
            output = request.output.of_answer(recorded.message.text, finish=finish, usage=recorded.usage)
        return ModelResponse(
            recorded.message, finish, recorded.usage, recorded.model, recorded.provider, recorded.id, output
        )

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[ResponseStream]:
        """Answer piece by piece: a piece per part."""
        yield WholeStream(await self.respond(request))

    def _next(self, request: ModelRequest) -> _Recorded:
        places = self._places.get(fingerprint(request, self._secrets))
        while places:
            if (answer := self._taken(places.popleft())) is not None:
                return answer
        if self._in_order:
            for place in range(len(self._answers)):
                if (answer := self._taken(place)) is not None:
                    return answer
        if places is None and not self._in_order:
            raise CassetteError(
                f"{self._path} has no answer to {_asked(request, self._secrets)!r} with this conversation and these "
                "tools: record it again"
            )
        raise CassetteError(f"{self._path} has no further answer to {_asked(request, self._secrets)!r}")

    def _taken(self, place: int) -> _Recorded | None:
        """The answer at a place, which is gone by that; None when it was gone before."""
        answer, self._answers[place] = self._answers[place], None
        return answer

    def check_used_up(self) -> None:
        """See that everything was asked for.

        Raises:
            CassetteError: something was not.
        """
        if self.remaining:
            left = [recorded.asked for recorded in self._answers if recorded is not None]
            raise CassetteError(f"{self._path}: {self.remaining} answers were not asked for: {left}")

    async def aclose(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.check_used_up()


class WholeStream:
    """A stream of an answer that is there already."""

    def __init__(self, response: ModelResponse) -> None:
        """Stream this answer."""
        self._whole = response
        self._ended = False
        self._deltas = deque(deltas_of(response))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        if not self._deltas:
            self._ended = True
            raise StopAsyncIteration
        return self._deltas.popleft()

    @property
    def response(self) -> ModelResponse:
        """The whole answer.

        Raises:
            RuntimeError: the deltas have not ended yet.
        """
        if not self._ended:
            raise RuntimeError("the answer is not whole yet: iterate over the stream to its end first")
        return self._whole


def deltas_of(response: ModelResponse) -> Iterable[Delta]:
    """The pieces that add up to an answer: one per part."""
    message = response.message
    if message.reasoning:
        yield ReasoningDelta(message.reasoning)
    if message.text:
        yield TextDelta(message.text)
    for index, call in enumerate(message.tool_uses):
        yield ToolUseDelta(index, call.id, call.name, call.arguments)
