"""Requests as Chat Completions has them: our messages and a dialect's fields become one body and some headers."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidRequest
from ..hints.fields import Field
from ..messages import File, Image, Message, Part, Reasoning, Text, ToolResult, ToolUse
from ..model import ModelRequest
from .tools import offered

Json = dict[str, Any]

MOST_MARKS = 3
"""How many blocks are marked for caching: the system's, and the last two turns of the user. Anthropic takes four."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request, ready to be sent.

    Attributes:
        body: What every server understands.
        extra_body: What the dialect adds.
        headers: What the dialect adds.
    """

    body: Json = field(hash=False)
    extra_body: Json = field(hash=False)
    headers: Mapping[str, str] = field(hash=False)


def build(
    request: ModelRequest, *, model: str, provider: str, fields: Sequence[Field] = (), stream: bool = False
) -> Call:
    """Build the request.

    Raises:
        InvalidRequest: a message holds what its role can't.
    """
    messages = wire_messages(request.messages, provider=provider)
    body: Json = {"model": model, "messages": messages}
    if request.tools:
        body["tools"] = offered(request.tools, provider).functions
        body["tool_choice"] = _tool_choice(request)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.output is not None:
        body["response_format"] = request.output.response_format
    if request.max_tokens is not None:
        body["max_completion_tokens" if provider == "openai" else "max_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.stop:
        body["stop"] = list(request.stop)
    if request.effort is not None:
        body["reasoning_effort"] = request.effort
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    extra: Json = {}
    headers: dict[str, str] = {}
    for each in fields:
        if each.place == "header":
            headers[each.path[0]] = each.value
        elif each.place == "body":
            _put(extra, each.path, each.value)
        else:
            _mark(messages, each.path[0], each.value)
    return Call(body, extra, headers)


def _tool_choice(request: ModelRequest) -> str | Json:
    choice = request.tool_choice
    if choice in ("auto", "none", "required"):
        return choice
    if choice not in {tool.name for tool in request.tools}:
        raise InvalidRequest(f"tool_choice {choice!r} is no tool of this request; give one, or auto, none or required")
    return {"type": "function", "function": {"name": choice}}


def wire_messages(messages: Iterable[Message], *, provider: str) -> list[Json]:
    """The messages as Chat Completions has them.

    Raises:
        InvalidRequest: a message holds what its role can't.
    """
    wired: list[Json] = []
    for message in messages:
        match message.role:
            case "system":
                wired.append({"role": "system", "content": _only_text(message)})
            case "assistant":
                wired.append(_assistant(message, provider))
            case "user":
                wired += _user(message)
    return wired


def _only_text(message: Message) -> str:
    for part in message.parts:
        if not isinstance(part, Text):
            raise InvalidRequest(f"a {message.role} message can't hold {part.type}; give it text only")
    return message.text


def _assistant(message: Message, provider: str) -> Json:
    texts: list[str] = []
    calls: list[Json] = []
    opaque: list[Json] = []
    for part in message.parts:
        match part:
            case Text():
                texts.append(part.text)
            case ToolUse():
                function = {"name": part.name, "arguments": part.arguments or "{}"}
                calls.append({"id": part.id, "type": "function", "function": function})
            case Reasoning():
                if part.provider == provider:
                    opaque += part.opaque
            case _:
                raise InvalidRequest(f"an assistant message can't hold {part.type}")
    wired: Json = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        wired["tool_calls"] = calls
    elif not wired["content"]:
        wired["content"] = ""
    if opaque:
        wired["thinking_blocks"] = opaque
    return wired


def _user(message: Message) -> list[Json]:
    """Results first, which have to follow the calls at once; then what the user says, with the results' pictures."""
    results: list[Json] = []
    content: list[Json] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            results.append({"role": "tool", "tool_call_id": part.call, "content": _result_text(part)})
            content += [_block(each) for each in part.content if isinstance(each, Image)]
        else:
            content.append(_block(part))
    if not content:
        return results
    if len(content) == 1 and content[0]["type"] == "text":
        return [*results, {"role": "user", "content": content[0]["text"]}]
    return [*results, {"role": "user", "content": content}]


def _result_text(result: ToolResult) -> str:
    text = "".join(part.text for part in result.content if isinstance(part, Text))
    pictures = sum(isinstance(part, Image) for part in result.content)
    if pictures:
        text = f"{text}\n" if text else ""
        text += f"({pictures} image{'s' if pictures > 1 else ''} in the next message)"
    return f"error: {text}" if result.is_error else text


def _block(part: Part) -> Json:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            url = part.url if part.data is None else _data_url(part.data, part.media_type)
            return {"type": "image_url", "image_url": {"url": url}}
        case File():
            return {"type": "file", "file": {"filename": part.name, "file_data": _data_url(part.data, part.media_type)}}
        case _:
            raise InvalidRequest(f"a user message can't hold {part.type}")


def _data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode('ascii')}"


def _put(body: Json, path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        body = body.setdefault(name, {})
    body[path[-1]] = value


def _mark(messages: list[Json], name: str, value: Json) -> None:
    """Mark where what is cached may end: the system's last message, and the last turns that are not the model's."""
    turns = [message for message in messages if message["role"] in ("user", "tool")]
    systems = [message for message in messages if message["role"] == "system"]
    chosen = systems[-1:] + turns[-(MOST_MARKS - 1) :]
    for message in chosen:
        content = message["content"]
        if message["role"] == "tool":
            message[name] = value
        elif isinstance(content, str):
            message["content"] = [{"type": "text", "text": content, name: value}]
        else:
            content[-1] = {**content[-1], name: value}
