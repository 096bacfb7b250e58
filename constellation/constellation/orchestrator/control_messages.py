"""What a client and a hub say to each other on the control path: JSON text frames, one message each.

A client opens with `Open` and its token. Every request carries a number and is answered by one `Answer` with the same
number; events of runs that the client follows come in between as `Told`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

CONTROL_VERSION = 1
CONTROL_PATH = "/control"


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


class Told(_Message):
    """An event of a run, for the request that follows it."""

    kind: Literal["told"] = "told"
    number: int
    event: dict[str, Any]


ControlMessage = Annotated[Open | Request | Answer | Told, Field(discriminator="kind")]
CONTROL: TypeAdapter[ControlMessage] = TypeAdapter(ControlMessage)
