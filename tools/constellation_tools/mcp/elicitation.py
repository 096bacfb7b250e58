"""Questions that a server asks a person in the middle of a call, for whoever the caller lets answer them.

Without a function that answers, a server is told that nobody can be asked. Its words are data: they are cleaned and
cut to a length, and nothing in them is followed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..wording import cleaned

if TYPE_CHECKING:
    from mcp.client.session import ClientRequestContext, ElicitationFnT
    from mcp_types import ElicitRequestParams, ElicitResult, ErrorData

MAX_QUESTIONS = 8
"""How many questions of one server may wait for an answer at once; it is told to withdraw further ones."""

MESSAGE_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Elicitation:
    """A question.

    Attributes:
        server: The label of the server that asks.
        message: What it says.
        schema: What it wants to know: JSON Schema of a flat object; None when it sends the person to a URL.
        url: Where it sends the person; empty when it asks here.
    """

    server: str
    message: str
    schema: Mapping[str, Any] | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class ElicitationAnswer:
    """What the person did.

    Attributes:
        action: `accept` with an answer, `decline` to give one, or `cancel` without having chosen.
        content: The answer, when the question has a schema and was accepted.
    """

    action: Literal["accept", "decline", "cancel"]
    content: Mapping[str, Any] = field(default_factory=dict)


Elicit = Callable[[Elicitation], Awaitable[ElicitationAnswer]]
"""Has a question answered; may take as long as the call may."""


def answering(elicit: Elicit, server: str) -> ElicitationFnT:
    """Make of a function that answers questions what the SDK asks of a client."""
    from mcp_types import ElicitRequestURLParams, ElicitResult

    waiting = 0

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult | ErrorData:
        nonlocal waiting
        if waiting >= MAX_QUESTIONS:
            return ElicitResult(action="cancel")
        message = cleaned(params.message, MESSAGE_CHARS)
        if isinstance(params, ElicitRequestURLParams):
            question = Elicitation(server, message, url=params.url)
        else:
            question = Elicitation(server, message, schema=dict(params.requested_schema))
        waiting += 1
        try:
            given = await elicit(question)
        finally:
            waiting -= 1
        has_content = given.action == "accept" and question.schema is not None
        return ElicitResult(action=given.action, content=dict(given.content) if has_content else None)

    return answer
