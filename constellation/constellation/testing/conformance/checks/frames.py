"""Checks of what a device makes of frames: newer ones, broken ones, and those that are too long."""

from __future__ import annotations

import json
from typing import Any

from constellation_protocol.messages import Limits

from ..kit import check
from ..stage import Stage

_NEWER = {"of_a_newer_version": {"nested": [1, None, "x"]}}


def _add_fields(frame: dict[str, Any]) -> None:
    frame.update(_NEWER)
    for message in frame["messages"]:
        message.update(_NEWER)


@check
async def ignores_unknown_fields(stage: Stage) -> None:
    """Fields that the device does not know are ignored, in frames and in messages."""
    async with stage.opened() as peer:
        peer.garnish = _add_fields
        await peer.result(await peer.assign("echo", {"value": "as before"}))


@check
async def takes_fields_with_defaults_as_left_out(stage: Stage) -> None:
    """Fields that have a default may be left out."""

    def leave_out(frame: dict[str, Any]) -> None:
        for message in frame["messages"]:
            for name in ("name", "timeout_s", "artifacts", "traceparent"):
                message.pop(name, None)

    async with stage.opened() as peer:
        peer.garnish = leave_out
        await peer.result(await peer.assign("echo", {"value": "brief"}))


@check
async def takes_several_messages_in_a_frame(stage: Stage) -> None:
    """A frame may hold many messages; they are taken in order."""
    async with stage.opened() as peer:
        async with peer.together():
            first = await peer.assign("echo", {"value": 1})
            second = await peer.assign("echo", {"value": 2})
        await peer.result(first)
        await peer.result(second)


@check
async def keeps_text_as_it_is(stage: Stage) -> None:
    """Text goes through unchanged, whatever its script, and so do numbers, nothing, lists and objects."""
    value: dict[str, Any] = {
        "text": 'Ω, é, 漢字, 🚀, \u2028, \\, "',
        "list": [1, -2.5, True, None, [], {}],
        "long": "x" * 100_000,
    }
    async with stage.opened() as peer:
        result = await peer.result(await peer.assign("echo", {"value": value}))
        peer.expect(result.output == value, "the output of 'echo' is not the value that it was given")


@check
async def rejects_an_unknown_kind(stage: Stage) -> None:
    """A message of unknown kind is answered with the error `unknown-kind`."""
    async with stage.opened() as peer:
        await peer.connection.send(f'{{"v":1,"seq":{peer.next_number},"messages":[{{"kind":"no_such_kind"}}]}}')
        await peer.connection.fault("unknown-kind")


@check
async def rejects_an_unknown_binary_frame(stage: Stage) -> None:
    """A binary frame of unknown kind is answered with the error `unknown-kind`."""
    async with stage.opened() as peer:
        await peer.connection.send(b"\x01\x63" + peer.next_number.to_bytes(8, "big") + bytes(40))
        await peer.connection.fault("unknown-kind")


@check
async def rejects_what_is_no_json(stage: Stage) -> None:
    """A text frame that is not JSON is answered with the error `malformed-frame`."""
    async with stage.opened() as peer:
        await peer.connection.send('{"v":1,"messages":[')
        await peer.connection.fault("malformed-frame")


@check
async def rejects_another_frame_format(stage: Stage) -> None:
    """A text frame whose `v` is not 1 is answered with the error `version`."""
    async with stage.opened() as peer:
        await peer.connection.send('{"v":2,"messages":[]}')
        await peer.connection.fault("version")


@check
async def rejects_a_message_without_its_fields(stage: Stage) -> None:
    """A message that lacks a field without default is answered with the error `invalid-message`."""
    async with stage.opened() as peer:
        await peer.connection.send(f'{{"v":1,"seq":{peer.next_number},"messages":[{{"kind":"assign","run":"r"}}]}}')
        await peer.connection.fault("invalid-message")


@check
async def rejects_a_message_of_its_own_role(stage: Stage) -> None:
    """A message that only devices send is answered with the error `direction`."""
    accept = {"kind": "accept", "attempt": "a/1", "epoch": 1}
    async with stage.opened() as peer:
        await peer.connection.send(json.dumps({"v": 1, "seq": peer.next_number, "messages": [accept]}))
        await peer.connection.fault("direction")


@check
async def rejects_a_frame_over_the_limit(stage: Stage) -> None:
    """A frame longer than `max_frame_bytes` is answered with `frame-too-large`, or with WebSocket code 1009."""
    async with stage.opened(limits=Limits(max_frame_bytes=65_536)) as peer:
        await peer.connection.send('{"v":1,"messages":[]' + " " * 65_536 + "}")
        await peer.connection.fault("frame-too-large", too_big=True)


@check
async def keeps_to_the_frame_limit(stage: Stage) -> None:
    """No frame of the device is longer than `max_frame_bytes`, however long an output is."""
    limits = Limits(max_frame_bytes=65_536, max_inline_output_bytes=262_144)
    async with stage.opened(limits=limits) as peer:
        await peer.assign("echo", {"value": "x" * 40_000})
        # The output may come as a file, which is only offered here. A frame over the limit fails the check.
        await peer.until(lambda: next(iter(peer.seen), None), "an answer to an assignment of 40,000 bytes")
        await peer.ping()
