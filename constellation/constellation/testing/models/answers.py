"""What the server of models answers, as values: replies, faults, and what breaks off. Nothing waits for time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a reply waits until the test lets it go on.

    Attributes:
        pieces: After how many pieces of a stream it waits; with 0, and for a reply that is not streamed, before
            anything of it is sent.
        opened: Set by the test.
        reached: Set by the server when a reply waits here.
    """

    pieces: int = 0
    opened: anyio.Event = field(default_factory=anyio.Event)
    reached: anyio.Event = field(default_factory=anyio.Event)

    async def wait(self) -> None:
        """Wait until it is opened."""
        self.reached.set()
        await self.opened.wait()


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a tool, in a reply.

    Attributes:
        name: The tool.
        arguments: JSON types, or the very text for what is malformed.
        id: The call's id; one is made when empty.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict, hash=False)
    id: str = ""

    @property
    def text(self) -> str:
        """The arguments as the model writes them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Used:
    """The usage that a reply tells of."""

    prompt: int = 10
    completion: int = 5
    cached: int = 0
    reasoning: int = 0

    def to_json(self) -> dict[str, Any]:
        """As Chat Completions has it."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the model.

    Attributes:
        text: What it says.
        calls: The tools that it calls.
        reasoning: What it thought before.
        refusal: What it says instead, where it refuses.
        finish: The reason that it gives for its end; the fitting one when empty.
        usage: What it tells of use; None to leave it out.
        pieces: Into how many pieces a stream cuts the text, the reasoning and each call's arguments.
        interleaved: Whether a stream sends pieces of several calls in turns.
        gate: Where it waits for the test.
        break_after: After how many pieces a stream's connection is cut; None to send it whole.
        headers: Further headers of the HTTP answer.
    """

    text: str = ""
    calls: tuple[Called, ...] = ()
    reasoning: str = ""
    refusal: str = ""
    finish: str = ""
    usage: Used | None = field(default_factory=Used)
    pieces: int = 3
    interleaved: bool = False
    gate: Gate | None = None
    break_after: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """An HTTP answer that is an error.

    Attributes:
        status: The status.
        message: What it says.
        code: The error's code.
        headers: Further headers.
    """

    status: int
    message: str = "no"
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    def to_json(self) -> dict[str, Any]:
        """As Chat Completions has it."""
        return {"error": {"message": self.message, "type": self.code or "error", "code": self.code or None}}


@dataclass(frozen=True, slots=True)
class Raw:
    """An HTTP answer with the very bytes of its body, for what is malformed.

    Attributes:
        body: The bytes.
        status: The status.
        media_type: What they claim to be.
    """

    body: bytes
    status: int = 200
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Hangup:
    """The connection is closed without an answer."""


Answer = Reply | Fault | Raw | Hangup


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request that the server has got.

    Attributes:
        method: The HTTP method.
        path: The path.
        headers: The headers, names in lower case.
        body: The JSON; empty for a request without one.
        left: Set when the client closes the connection before its answer is whole.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(hash=False)
    body: Mapping[str, Any] = field(hash=False)
    left: anyio.Event = field(default_factory=anyio.Event, hash=False)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of a chat completion."""
        found: list[dict[str, Any]] = self.body["messages"]
        return found


Rule = Callable[[SeenRequest], Answer | str | None]
"""Answers a request; text is a reply that says it. None leaves it to what the server has next."""
