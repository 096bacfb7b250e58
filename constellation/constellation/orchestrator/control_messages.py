"""What a client and a hub say to each other on the control path: JSON text frames, one message each.

A client opens with `Open` and its token. Every request carries a number and is answered by one `Answer` with the same
number. The hub says nothing unasked: a client asks for the next events of a run when it has use for them, so that none
who is slow, or has lost interest, costs anything. A request that has to wait is answered after `POLL_S` at the latest,
with null, and made again by a client that still wants to know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from .errors import HubUnreachable

CONTROL_VERSION = 1
CONTROL_PATH = "/control"

POLL_S = 20.0
"""How long a hub keeps a request waiting for what it asks about."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Open(_Message):
    """The first message of a client."""

    kind: Literal["open"] = "open"
    version: int = CONTROL_VERSION
    token: str = Field(default="", repr=False)


class Request(_Message):
    """Do something: `call` names it, `arguments` are its own."""

    kind: Literal["request"] = "request"
    number: int
    call: str
    arguments: dict[str, Any] = Field(default_factory=dict)


class Answer(_Message):
    """The end of a request: its value, or the type and the text of the error."""

    kind: Literal["answer"] = "answer"
    number: int
    value: Any = None
    error: str | None = None
    message: str = ""
    details: Any = None


ControlMessage = Annotated[Open | Request | Answer, Field(discriminator="kind")]
CONTROL: TypeAdapter[ControlMessage] = TypeAdapter(ControlMessage, config=ConfigDict(hide_input_in_errors=True))

NOT_UNDERSTOOD = "the hub says what this client does not understand: use the same version on both sides"

T = TypeVar("T")


def understood(read: Callable[[Any], T], value: Any) -> T:
    """What a hub's answer says, by what reads it; raises HubUnreachable where it is no such answer."""
    try:
        return read(value)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise HubUnreachable(NOT_UNDERSTOOD) from error
