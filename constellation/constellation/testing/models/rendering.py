"""Replies as Chat Completions has them: one JSON object, or the chunks of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from .answers import Called, Reply

Json = dict[str, Any]

CREATED = 1_700_000_000
"""When replies say that they were made: always the same time, so that they are always the same."""


def completion(reply: Reply, *, model: str, number: int) -> Json:
    """The reply as a whole."""
    message: Json = {"role": "assistant", "content": reply.text or None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.refusal:
        message["refusal"] = reply.refusal
    if reply.calls:
        message["tool_calls"] = [
            {"id": _id(call, number, at), "type": "function", "function": {"name": call.name, "arguments": call.text}}
            for at, call in enumerate(reply.calls)
        ]
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    whole = {**_head("chat.completion", model, number), "choices": [choice]}
    if reply.usage is not None:
        whole["usage"] = reply.usage.to_json()
    return whole


def chunks(reply: Reply, *, model: str, number: int, with_usage: bool) -> Iterator[Json]:
    """The reply in chunks."""
    head = _head("chat.completion.chunk", model, number)

    def chunk(delta: Json, finish: str | None = None) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    for field, text in (("reasoning_content", reply.reasoning), ("content", reply.text), ("refusal", reply.refusal)):
        for piece in _cut(text, reply.pieces):
            yield chunk({"role": "assistant", field: piece})
    streams = [_call_deltas(call, at, number, reply.pieces) for at, call in enumerate(reply.calls)]
    ordered = zip_longest(*streams) if reply.interleaved else ((delta,) for stream in streams for delta in stream)
    for deltas in ordered:
        for delta in deltas:
            if delta is not None:
                yield chunk({"tool_calls": [delta]})
    yield chunk({}, _finish(reply))
    if with_usage and reply.usage is not None:
        yield {**head, "choices": [], "usage": reply.usage.to_json()}


def _head(kind: str, model: str, number: int) -> Json:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": CREATED, "model": model}


def _finish(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.calls else "stop")


def _id(call: Called, number: int, at: int) -> str:
    return call.id or f"call_{number}_{at}"


def _call_deltas(call: Called, at: int, number: int, pieces: int) -> Iterator[Json]:
    function = {"name": call.name, "arguments": ""}
    yield {"index": at, "id": _id(call, number, at), "type": "function", "function": function}
    for piece in _cut(call.text, pieces):
        yield {"index": at, "function": {"arguments": piece}}


def _cut(text: str, pieces: int) -> Iterator[str]:
    size = max(-(-len(text) // pieces), 1)
    for begin in range(0, len(text), size):
        yield text[begin : begin + size]
