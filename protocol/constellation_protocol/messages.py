"""Every message of AIP version 1, as pydantic models in one discriminated union (`Message`).

Messages ignore unknown fields, so that a newer peer may add some. Durations are seconds, instants are
seconds since the Unix epoch, sizes are bytes. `attempt` identifies one try of one star, unique for ever;
with the device and the session's epoch it is the fence that keeps late answers out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import not_
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, StringConstraints, TypeAdapter

PROTOCOL_VERSION = 1

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""What an orchestrator may raise `Limits.max_frame_bytes` to."""

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]*$")]
"""An id on the wire: printable, no spaces, never used as a path."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest in lower-case hex."""

Count = Annotated[int, Field(ge=0, lt=2**63)]
"""A number of messages."""

T = TypeVar("T")

Many = Annotated[tuple[T, ...], FailFast()]
"""Any number of items. The first wrong one is enough: errors about all would take a thousand times the frame's size."""


def _first_wrong_value(kind: Any) -> BeforeValidator:
    """What `FailFast` is for lists, for the values of an object."""
    values: TypeAdapter[list[Any]] = TypeAdapter(Annotated[list[kind], FailFast()])

    def check(value: Any) -> Any:
        if isinstance(value, dict):
            values.validate_python(list(value.values()))
        return value

    return BeforeValidator(check)


class WireModel(BaseModel):
    """Base of all that travels: immutable, and lenient towards fields of newer versions.

    Amounts are finite numbers, and a failed validation does not repeat its input, which may hold a token.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, hide_input_in_errors=True)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def wire_record(cls: type[T]) -> type[T]:
    """Make a message that travels once or twice for every task a slotted dataclass, lenient as a `WireModel` is.

    It is validated where it comes off the wire; made by this program it costs a tenth of what a model costs, but three
    times as much when its fields are given by name. To the type checker it is frozen.
    """
    cls.__pydantic_config__ = ConfigDict(extra="ignore", allow_inf_nan=False)  # type: ignore[attr-defined]
    return dataclass(slots=True)(cls)


# --- parts -----------------------------------------------------------------------------------------------------


class Gpu(WireModel):
    """One graphics or compute accelerator of a device."""

    name: str
    memory_bytes: int = Field(ge=0)


class ToolInfo(WireModel):
    """A tool that a device offers: its name and what it takes, as JSON Schema (2020-12)."""

    name: str
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    output_schema: dict[str, Any] | None = None
    idempotent: bool = False


class DeviceProfile(WireModel):
    """What a device is and offers. `labels` are matched by equality, `resources` are amounts that stars reserve."""

    os: str = ""
    arch: str = ""
    hostname: str = ""
    python: str = ""
    agent: str = ""
    pid: int | None = None
    cpus: int = Field(default=1, ge=1)
    memory_bytes: int = Field(default=0, ge=0)
    gpus: Many[Gpu] = ()
    labels: Annotated[dict[str, str], _first_wrong_value(str)] = Field(default_factory=dict)
    resources: Annotated[dict[str, float], _first_wrong_value(float)] = Field(default_factory=dict)
    slots: int = Field(default=1, ge=1, le=10_000)
    tools: Many[ToolInfo] = ()


class ArtifactInfo(WireModel):
    """A file by its content: what an artifact reference in arguments and outputs says of it."""

    sha256: Sha256
    size: int = Field(ge=0)
    name: str = ""
    media_type: str = "application/octet-stream"


class ErrorInfo(WireModel):
    """Why an attempt failed. `type` is a stable name to decide by, `message` is for people."""

    type: str
    message: str
    details: dict[str, Any] = Field(default_factory=dict)


@wire_record
class ToolWork:
    """Work of an attempt: call one of the device's tools with arguments in which all references are resolved."""

    kind: Literal["tool"] = field(default="tool", kw_only=True)
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Limits(WireModel):
    """What the orchestrator accepts; a device keeps to it, and is refused with a clear error where it does not."""

    max_frame_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=MAX_FRAME_BYTES)
    max_unacked_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    max_artifact_bytes: int = 4 * 1024**3
    max_inline_output_bytes: int = 256 * 1024


# --- opening and closing a session -----------------------------------------------------------------------------


class Hello(WireModel):
    """First message of a device on a connection. With `session` and `received` it asks to resume a session.

    `memory` names the device's record of the attempts that it has begun. A device that shows the same name as in an
    earlier session has forgotten nothing: an attempt that it then does not list was never begun, or its result has been
    acknowledged. Sent such an attempt again, it knows which.

    `elsewhere` says that it knows other orchestrators as well: one that has nothing for it to do may send it to those.
    """

    kind: Literal["hello"] = "hello"
    versions: Many[int] = (PROTOCOL_VERSION,)
    device: Identifier
    token: str | None = Field(default=None, repr=False)
    session: str | None = None
    received: Count = 0
    profile: DeviceProfile = DeviceProfile()
    memory: str = Field(default="", max_length=64)
    running: Many[str] = ()
    finished: Many[str] = ()
    elsewhere: bool = Field(default=False, exclude_if=not_)  # written only where it is true, as before there was one


class Welcome(WireModel):
    """The orchestrator's answer: the version chosen, the session, its epoch, and the rules of this session."""

    kind: Literal["welcome"] = "welcome"
    version: int = Field(default=PROTOCOL_VERSION, ge=0, lt=2**63)
    session: str
    epoch: int
    resumed: bool = False
    received: Count = 0
    heartbeat_s: float = Field(default=5.0, gt=0)
    resume_window_s: float = Field(default=30.0, ge=0)
    credits: int = Field(default=1024, ge=1, lt=2**63)
    limits: Limits = Limits()


class Refuse(WireModel):
    """The orchestrator does not accept this device. `retry` says whether trying again later makes sense."""

    kind: Literal["refuse"] = "refuse"
    code: Literal["version", "authentication", "identity", "limit", "shutting-down", "protocol", "unknown-session"]
    message: str
    retry: bool = False


class Goodbye(WireModel):
    """The sender ends the session for good: nothing can be resumed after it."""

    kind: Literal["goodbye"] = "goodbye"
    reason: str = ""


class Drain(WireModel):
    """The sender wants no new work to start: the device finishes what it runs and then says goodbye."""

    kind: Literal["drain"] = "drain"
    reason: str = ""


# --- a device and its work -------------------------------------------------------------------------------------


class ProfileUpdate(WireModel):
    """The device's profile has changed; the new one replaces the old one whole."""

    kind: Literal["profile"] = "profile"
    profile: DeviceProfile


@wire_record
class Assign:
    """Do this work. `artifacts` lists the files that the arguments refer to."""

    kind: Literal["assign"] = field(default="assign", kw_only=True)
    run: str
    star: str
    attempt: str
    epoch: int
    work: ToolWork
    name: str = ""
    timeout_s: float | None = None
    artifacts: Many[ArtifactInfo] = ()
    traceparent: str | None = None


@wire_record
class Accept:
    """The attempt has a slot on the device and starts now."""

    kind: Literal["accept"] = field(default="accept", kw_only=True)
    attempt: str
    epoch: int


class Reject(WireModel):
    """The attempt was not started and will not be: nothing has happened on the device."""

    kind: Literal["reject"] = "reject"
    attempt: str
    epoch: int
    code: Literal["no-slot", "unknown-tool", "draining", "invalid-arguments", "artifact", "duplicate"]
    message: str


class Progress(WireModel):
    """A log line (`text`), a share of the work done (`fraction`, 0 to 1), or partial output (`data`)."""

    kind: Literal["progress"] = "progress"
    attempt: str
    epoch: int
    text: str | None = None
    fraction: float | None = Field(default=None, ge=0, le=1)
    data: Any = None


@wire_record
class Result:
    """How an attempt ended. Kept by the device until the orchestrator has acknowledged it."""

    kind: Literal["result"] = field(default="result", kw_only=True)
    attempt: str
    epoch: int
    status: Literal["succeeded", "failed", "cancelled"]
    output: Any = None
    error: ErrorInfo | None = None
    started_at: float = 0.0
    duration_s: Annotated[float, Field(ge=0)] = 0.0
    artifacts: Many[ArtifactInfo] = ()


class Cancel(WireModel):
    """Stop this attempt, and answer with its result within `grace_s`, after which the device kills the work."""

    kind: Literal["cancel"] = "cancel"
    attempt: str
    epoch: int
    reason: str = ""
    grace_s: float = Field(default=2.0, ge=0)


# --- artifacts: the side that has a file offers it, the side that wants it requests it ---------------------------


class ArtifactOffer(WireModel):
    """The sender holds this file and will send it when requested."""

    kind: Literal["artifact_offer"] = "artifact_offer"
    artifact: ArtifactInfo


class ArtifactRequest(WireModel):
    """Send the file from `offset`; `offset` equal to the size says that it is already here."""

    kind: Literal["artifact_request"] = "artifact_request"
    sha256: Sha256
    offset: int = Field(default=0, ge=0)


class ArtifactChunk(WireModel):
    """A piece of a file; travels as a binary frame."""

    kind: Literal["artifact_chunk"] = "artifact_chunk"
    sha256: Sha256
    offset: int = Field(ge=0)
    data: bytes = Field(repr=False)


class ArtifactDone(WireModel):
    """The whole file was sent, or `error` says why it can't be."""

    kind: Literal["artifact_done"] = "artifact_done"
    sha256: Sha256
    error: str | None = None


# --- the session's own traffic ---------------------------------------------------------------------------------


class Ping(WireModel):
    """Are you there? Answered at once by a `Pong` with the same nonce."""

    kind: Literal["ping"] = "ping"
    nonce: int


class Pong(WireModel):
    """Answer to a `Ping`."""

    kind: Literal["pong"] = "pong"
    nonce: int


class Ack(WireModel):
    """All messages up to sequence number `received` have been taken in; `credits` more may be sent beyond it."""

    kind: Literal["ack"] = "ack"
    received: Count
    credits: Count


class ProtocolFault(WireModel):
    """The peer broke the protocol; the session ends with it."""

    kind: Literal["error"] = "error"
    code: str
    message: str


TextMessage = Annotated[
    Hello
    | Welcome
    | Refuse
    | Goodbye
    | Drain
    | ProfileUpdate
    | Assign
    | Accept
    | Reject
    | Progress
    | Result
    | Cancel
    | ArtifactOffer
    | ArtifactRequest
    | ArtifactDone
    | Ping
    | Pong
    | Ack
    | ProtocolFault,
    Field(discriminator="kind"),
]
"""Any message that may stand in a text frame: all but pieces of files."""

Message = Annotated[TextMessage | ArtifactChunk, Field(discriminator="kind")]
"""Any message of the protocol."""

RESULT: TypeAdapter[Result] = TypeAdapter(Result)
"""Reads and writes results, for those who keep them."""
