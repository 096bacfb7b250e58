"""Frames: how messages are laid out on a transport, and what is refused before it is looked at.

A text frame is one JSON object that carries any number of messages:

    {"v":1,"seq":7,"ack":3,"credits":1024,"messages":[{"kind":"accept",...},...]}

`seq` numbers the first sequenced message in it and the others follow on; `ack` and `credits` say what an `Ack`
message says, for free, wherever a frame goes out anyway. A binary frame carries one piece of a file:

    version u8 | kind u8 | seq u64 | sha256 32 bytes | offset u64 | data             (big-endian)

A message is encoded once, when it is queued; a frame is made by joining what is encoded already, so that sending
it again after a cut costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, FailFast, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import PydanticSerializationError, from_json

from .errors import FrameTooLarge, LocalProtocolError, RemoteProtocolError
from .messages import (
    Accept,
    Ack,
    ArtifactChunk,
    Assign,
    Count,
    Hello,
    Message,
    Ping,
    Pong,
    ProtocolFault,
    Refuse,
    Result,
    TextMessage,
    Welcome,
)
from .nesting import MAX_MESSAGE_NESTING, unreadable

FRAME_VERSION = 1
MAX_CHUNK_BYTES = 256 * 1024
MAX_FRAME_MESSAGES = 1024
"""How many messages one text frame may carry."""

UNSEQUENCED = (Hello, Welcome, Refuse, Ping, Pong, Ack, ProtocolFault)
"""The session's own traffic: it concerns one connection and is never sent again on another."""

FRAME_OVERHEAD = 128
"""What a text frame adds to its messages at most, in bytes."""

_CHUNK_KIND = 1
_CHUNK_HEADER = struct.Struct(">BBQ32sQ")
_MAX_EXPLANATION = 300


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame. `ack` and `credits` come together or not at all."""

    messages: Sequence[Message]
    seq: int = 0
    ack: int | None = None
    credits: int | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A message with its encoding: JSON text, or for a piece of a file its digest, offset and data."""

    message: Message
    wire: str | bytes
    size: int


@pydantic_dataclass(slots=True)
class WireFrame:
    """The JSON object of a text frame."""

    v: Literal[1]
    messages: Annotated[list[TextMessage], Field(max_length=MAX_FRAME_MESSAGES), FailFast()]
    seq: Count = 0
    ack: Count | None = None
    credits: Count | None = None


WIRE_FRAME: TypeAdapter[WireFrame] = TypeAdapter(WireFrame)


_RECORD_WRITERS = {kind: TypeAdapter(kind).serializer.to_json for kind in (Assign, Accept, Result)}
"""What writes the messages that are no models."""


def as_json(message: TextMessage) -> str:
    """A message as JSON text; raises what pydantic raises when it holds a value that JSON has no form for."""
    if isinstance(message, BaseModel):
        return message.model_dump_json()
    return _RECORD_WRITERS[type(message)](message).decode()


def encode_message(message: Message, *, limit: int) -> Encoded:
    """Encode one message so that it fits into a frame of at most `limit` bytes.

    Raises:
        LocalProtocolError: the message is too large or nests too deep, or holds a value that JSON has no form for.
    """
    if isinstance(message, ArtifactChunk):
        if len(message.data) > MAX_CHUNK_BYTES:
            raise LocalProtocolError(
                f"a chunk of {len(message.data)} bytes is over {MAX_CHUNK_BYTES}: send the file in smaller pieces"
            )
        head = _CHUNK_HEADER.pack(FRAME_VERSION, _CHUNK_KIND, 0, bytes.fromhex(message.sha256), message.offset)
        wire: str | bytes = head + message.data
        size = len(wire)
    else:
        try:
            wire = as_json(message)
        except (PydanticSerializationError, UnicodeEncodeError) as error:
            raise LocalProtocolError(f"a {message.kind!r} message can't be written as JSON: {error}") from error
        size = len(wire) if wire.isascii() else len(wire.encode())
        if size + FRAME_OVERHEAD <= limit and (problem := unreadable(wire, nesting=MAX_MESSAGE_NESTING)) is not None:
            raise LocalProtocolError(f"a {message.kind!r} message {problem}")
    if size + FRAME_OVERHEAD > limit:
        raise LocalProtocolError(
            f"a {message.kind!r} message of {size} bytes does not fit into a frame of {limit} bytes: "
            "send large content as an artifact"
        )
    return Encoded(message, wire, size)


def encode_text(parts: Sequence[str], *, seq: int = 0, ack: int | None = None, credits: int | None = None) -> str:
    """Join encoded messages into a text frame; `ack` and `credits` are left out when `ack` is None."""
    taken = "" if ack is None else f',"ack":{ack},"credits":{credits}'
    return f'{{"v":{FRAME_VERSION},"seq":{seq}{taken},"messages":[{",".join(parts)}]}}'


def number_chunk(wire: bytes, seq: int) -> bytes:
    """Make the binary frame of an encoded chunk by writing its sequence number into the header."""
    return wire[:2] + seq.to_bytes(8, "big") + wire[10:]


def decode(data: str | bytes, *, limit: int) -> Frame:
    """Decode a frame of at most `limit` bytes.

    Raises:
        FrameTooLarge: it is longer; nothing in it has been looked at.
        RemoteProtocolError: it is not a frame of this protocol; the code says in what way.
    """
    size = len(data)
    if isinstance(data, str) and size <= limit and not data.isascii():
        size = _utf8_size(data)
    if size > limit:
        raise FrameTooLarge(size, limit)
    if isinstance(data, bytes):
        return _decode_chunk(data)
    _check_is_json(data)
    try:
        frame = WIRE_FRAME.validate_json(data)
    except ValidationError as error:
        # The cause is cut off: it may quote the frame, and a frame may hold a token.
        raise _explain(error) from None
    if (frame.ack is None) != (frame.credits is None):
        raise RemoteProtocolError("invalid-message", "a frame has only one of 'ack' and 'credits': give both or none")
    return Frame(frame.messages, frame.seq, frame.ack, frame.credits)


def _check_is_json(text: str) -> None:
    """Refuse the numbers that pydantic takes although JSON has none of them; written again they would be `null`."""
    if "NaN" in text or "Infinity" in text:
        try:
            from_json(text, allow_inf_nan=False)
        except ValueError as error:
            raise RemoteProtocolError(
                "malformed-frame", f"a text frame is not JSON: {error}"[:_MAX_EXPLANATION]
            ) from None


def _utf8_size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise RemoteProtocolError("malformed-frame", "a text frame is not valid Unicode") from None


def _decode_chunk(data: bytes) -> Frame:
    if len(data) < _CHUNK_HEADER.size:
        raise RemoteProtocolError("malformed-frame", f"a binary frame of {len(data)} bytes is shorter than its header")
    version, kind, seq, digest, offset = _CHUNK_HEADER.unpack_from(data)
    if version != FRAME_VERSION:
        raise RemoteProtocolError("version", f"binary frame of version {version}; this side speaks {FRAME_VERSION}")
    if kind != _CHUNK_KIND:
        raise RemoteProtocolError("unknown-kind", f"binary frame of unknown kind {kind}")
    if len(data) - _CHUNK_HEADER.size > MAX_CHUNK_BYTES:
        raise RemoteProtocolError("malformed-frame", f"a chunk is over {MAX_CHUNK_BYTES} bytes")
    chunk = ArtifactChunk(sha256=digest.hex(), offset=offset, data=data[_CHUNK_HEADER.size :])
    return Frame((chunk,), seq)


def _explain(error: ValidationError) -> RemoteProtocolError:
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind, place = first["type"], ".".join(str(part) for part in first["loc"])
    if kind == "json_invalid":
        code = "malformed-frame"
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        code = "unknown-kind"
    elif first["loc"][:1] == ("v",):
        code = "version"
    else:
        code = "invalid-message"
    # Names and tags come from the peer: bounded, and without control characters that a terminal would obey.
    text = f"{place}: {first['msg']}" if place else first["msg"]
    return RemoteProtocolError(code, ascii(text[:_MAX_EXPLANATION])[1:-1][:_MAX_EXPLANATION])
