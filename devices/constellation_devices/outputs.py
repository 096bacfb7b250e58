"""What becomes of a tool's output before it is sent: the files in it are found, and what is too long becomes a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from pydantic_core import PydanticSerializationError, to_json

from constellation_protocol.artifacts import ArtifactStore
from constellation_protocol.messages import ArtifactInfo, ErrorInfo
from constellation_protocol.nesting import MAX_VALUE_NESTING, unreadable
from constellation_tools import Artifact

from .errors import WorkFailed

ARTIFACT_KEY = "$artifact"
_ARTIFACT_MARK = b'"$artifact"'
_PLAIN = 2**63
"""Whole numbers below this are read by everybody."""

INVALID_OUTPUT = "InvalidOutput"
"""Error type of work whose output can't be sent."""

DEFAULT_MEDIA_TYPE = "application/octet-stream"


@dataclass(slots=True)
class PackedOutput:
    """An output that fits into a result message.

    Attributes:
        output: The JSON value, or the `$artifact` form of the file that holds it.
        artifacts: The files that the orchestrator must have before the result means anything.
    """

    output: Any
    artifacts: tuple[ArtifactInfo, ...] = ()


NOTHING = PackedOutput(None)
"""No output, as of work that did not succeed."""


def pack_inline(output: Any, *, store: ArtifactStore, max_inline_bytes: int) -> PackedOutput | None:
    """Find the files that a JSON-able output refers to; None when it is too long to be sent as it is.

    References to files that this device does not hold are passed through: they are the orchestrator's own.

    Raises:
        WorkFailed: it has no JSON form after all, such as text that is not Unicode, or none that all can read.
    """
    if output is None:
        return NOTHING
    if isinstance(output, bool | float) or (isinstance(output, int) and -_PLAIN < output < _PLAIN):
        return PackedOutput(output)
    try:
        encoded = to_json(output)
    except PydanticSerializationError as error:
        raise WorkFailed(ErrorInfo(type=INVALID_OUTPUT, message=f"the output has no JSON form: {error}")) from error
    if len(encoded) > max_inline_bytes:
        return None
    _check_readable(encoded)
    if _ARTIFACT_MARK not in encoded:
        return PackedOutput(output)
    return PackedOutput(output, _held(output, store))


async def pack_output(output: Any, *, store: ArtifactStore, max_inline_bytes: int) -> PackedOutput:
    """Do as `pack_inline` does, and put an output that is too long into a file.

    Raises:
        ArtifactError: it is longer than any file may be.
        WorkFailed: it has no JSON form after all, or none that all can read.
    """
    packed = pack_inline(output, store=store, max_inline_bytes=max_inline_bytes)
    if packed is not None:
        return packed

    def put() -> ArtifactInfo:
        encoded = to_json(output)
        _check_readable(encoded)
        return store.put_bytes(encoded, name="output.json", media_type="application/json")

    whole = await anyio.to_thread.run_sync(put)
    return PackedOutput(artifact_of(whole).to_json(), (*_held(output, store), whole))


def _check_readable(encoded: bytes) -> None:
    problem = unreadable(encoded.decode(), nesting=MAX_VALUE_NESTING)
    if problem is not None:
        raise WorkFailed(ErrorInfo(type=INVALID_OUTPUT, message=f"the output {problem}"))


def _held(output: Any, store: ArtifactStore) -> tuple[ArtifactInfo, ...]:
    return tuple({info.sha256: info for info in find_artifacts(output) if store.has(info.sha256)}.values())


def find_artifacts(value: Any) -> Iterator[ArtifactInfo]:
    """Find all well-formed `$artifact` objects in a JSON value."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if ARTIFACT_KEY in item:
                try:
                    yield info_of(Artifact.from_json(item))
                    continue
                except (ValueError, TypeError):
                    pass  # a dict that only looks like one: its values may still hold artifacts
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def info_of(artifact: Artifact) -> ArtifactInfo:
    """Say of a tool's artifact what the protocol says of one."""
    return ArtifactInfo(
        sha256=artifact.sha256,
        size=artifact.size,
        name=artifact.name,
        media_type=artifact.media_type or DEFAULT_MEDIA_TYPE,
    )


def artifact_of(info: ArtifactInfo) -> Artifact:
    """The other way round."""
    return Artifact(info.sha256, info.size, info.name, info.media_type)
