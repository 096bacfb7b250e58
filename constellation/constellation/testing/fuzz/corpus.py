"""Messages and frames as well-behaved peers send them: what mutations begin with."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from constellation_protocol.codec import encode_message, encode_text, number_chunk
from constellation_protocol.messages import (
    Accept,
    Ack,
    ArtifactChunk,
    ArtifactDone,
    ArtifactInfo,
    ArtifactOffer,
    ArtifactRequest,
    Assign,
    Cancel,
    DeviceProfile,
    Drain,
    ErrorInfo,
    Goodbye,
    Gpu,
    Hello,
    Message,
    Ping,
    Pong,
    ProfileUpdate,
    Progress,
    ProtocolFault,
    Refuse,
    Reject,
    Result,
    ToolInfo,
    ToolWork,
    Welcome,
)
from constellation_protocol.states import Role

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
FILE = ArtifactInfo(sha256=DIGEST, size=4, name="test.txt", media_type="text/plain")
PROFILE = DeviceProfile(
    os="Linux",
    arch="x86_64",
    slots=4,
    gpus=(Gpu(name="one", memory_bytes=2**34),),
    labels={"zone": "cellar"},
    resources={"cpu": 8.0},
    tools=(ToolInfo(name="echo", description="Say it again.", input_schema={"type": "object"}),),
)
HELLO = Hello(device="shed", token="token-of-shed", profile=PROFILE, memory="m1", running=("a/1",))
WELCOME = Welcome(session="the-session", epoch=3)

SHARED: Sequence[Message] = (
    Drain(reason="enough"),
    ArtifactOffer(artifact=FILE),
    ArtifactRequest(sha256=DIGEST, offset=0),
    ArtifactRequest(sha256=DIGEST, offset=4),
    ArtifactChunk(sha256=DIGEST, offset=0, data=b"test"),
    ArtifactDone(sha256=DIGEST),
    ArtifactDone(sha256=DIGEST, error="it is not here"),
)
OF_DEVICES: Sequence[Message] = (
    ProfileUpdate(profile=PROFILE),
    Accept(attempt="count-1/1", epoch=3),
    Reject(attempt="count-1/1", epoch=3, code="no-slot", message="all slots are taken"),
    Progress(attempt="count-1/1", epoch=3, text="counting", fraction=0.5, data={"so far": [1, 2.5, None, "Ω"]}),
    Result(attempt="count-1/1", epoch=3, status="succeeded", output={"n": 9}, artifacts=(FILE,), duration_s=0.25),
    Result(attempt="count-1/1", epoch=3, status="failed", error=ErrorInfo(type="OSError", message="no such file")),
)
OF_ORCHESTRATORS: Sequence[Message] = (
    Assign(
        run="run-1",
        star="count-1",
        attempt="count-1/1",
        epoch=3,
        work=ToolWork(tool="echo", arguments={"value": {"$artifact": DIGEST, "size": 4}}),
        timeout_s=60.0,
        artifacts=(FILE,),
    ),
    Cancel(attempt="count-1/1", epoch=3, reason="not wanted any more"),
)
OF_CONNECTIONS: Sequence[Message] = (
    HELLO,
    WELCOME,
    Refuse(code="limit", message="too many devices", retry=True),
    Ping(nonce=5),
    Pong(nonce=5),
    Ack(received=11, credits=1024),
    ProtocolFault(code="sequence", message="message 9 came where 8 was expected"),
    Goodbye(reason="done"),
)
OF_ROLE = {Role.DEVICE: (*SHARED, *OF_DEVICES), Role.ORCHESTRATOR: (*SHARED, *OF_ORCHESTRATORS)}
"""What the application of a role may send."""

EVERY_MESSAGE = (*SHARED, *OF_DEVICES, *OF_ORCHESTRATORS, *OF_CONNECTIONS)

_LIMIT = 2**22
_WIRES = [encode_message(message, limit=_LIMIT).wire for message in EVERY_MESSAGE]
_TEXTS = [wire for wire in _WIRES if isinstance(wire, str)]
_CHUNKS = [wire for wire in _WIRES if isinstance(wire, bytes)]


def frame(chance: Random) -> str | bytes:
    """A frame that is in order, though perhaps not at any point of a session."""
    if chance.random() < 0.15:
        return number_chunk(chance.choice(_CHUNKS), chance.randrange(20))
    parts = chance.choices(_TEXTS, k=chance.choice((1, 1, 1, 2, 5)))
    ack = chance.randrange(20) if chance.random() < 0.4 else None
    return encode_text(parts, seq=chance.randrange(20), ack=ack, credits=None if ack is None else 1024)
