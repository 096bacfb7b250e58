"""Messages as every provider's are understood here: a role, and parts in order.

They are what a conversation is saved as, so their fields are a format: `conversation.py` reads and writes them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from .errors import InvalidToolArguments
from .strict_json import read_json

Role = Literal["system", "user", "assistant"]

_BASE64 = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


@dataclass(frozen=True, slots=True)
class Text:
    """Some text."""

    text: str
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: its bytes, or where it is.

    Attributes:
        data: The bytes; None where it is given by URL.
        url: Where the provider may fetch it; empty where the bytes are given.
        media_type: Such as `image/png`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _BASE64

    data: bytes | None = None
    url: str = ""
    media_type: str = "image/png"
    type: Literal["image"] = "image"

    def __post_init__(self) -> None:
        """Raises ValueError: it has neither bytes nor a URL, or both."""
        if (self.data is None) == (not self.url):
            raise ValueError("an image has either data or a url")


@dataclass(frozen=True, slots=True)
class File:
    """A document, by its bytes.

    Attributes:
        data: The bytes.
        name: What it is called, with its ending.
        media_type: Such as `application/pdf`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _BASE64

    data: bytes
    name: str
    media_type: str = "application/pdf"
    type: Literal["file"] = "file"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a model thought before it answered.

    Attributes:
        text: As far as the provider shows it.
        provider: Whose model it was. Only that provider is sent it again.
        opaque: The blocks that this provider wants back as they were, JSON, such as those that bear signatures.
    """

    text: str
    provider: str = ""
    opaque: tuple[dict[str, Any], ...] = field(default=(), hash=False)
    type: Literal["reasoning"] = "reasoning"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A model wants a tool to be called.

    Attributes:
        id: What the result has to name.
        name: The tool.
        arguments: JSON as the model wrote it, which may be malformed.
    """

    id: str
    name: str
    arguments: str = "{}"
    type: Literal["tool_use"] = "tool_use"

    def decoded(self) -> dict[str, Any]:
        """The arguments as an object.

        Raises:
            InvalidToolArguments: they are no JSON object.
        """
        try:
            value = read_json(self.arguments or "{}")
        except ValueError as error:
            problem = f"the arguments of {self.name} are no JSON ({error}); call it again with a JSON object"
            raise InvalidToolArguments(problem, tool=self.name, call=self.id) from None
        if not isinstance(value, dict):
            problem = f"the arguments of {self.name} are {type(value).__name__}; call it again with a JSON object"
            raise InvalidToolArguments(problem, tool=self.name, call=self.id)
        return value


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back.

    Attributes:
        call: The id of the `ToolUse` that it answers.
        content: Text and images.
        is_error: Whether the tool failed and the content says why.
    """

    call: str
    content: tuple[Text | Image, ...]
    is_error: bool = False
    type: Literal["tool_result"] = "tool_result"

    @classmethod
    def of(cls, call: str, value: object, *, is_error: bool = False) -> ToolResult:
        """The result of a call: a string as it is, anything else as JSON."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return cls(call, (Text(text),), is_error)


Part = Annotated[Text | Image | File | Reasoning | ToolUse | ToolResult, Field(discriminator="type")]


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        role: Who speaks. Results of tools are the user's.
        parts: What is said, in order.
    """

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """All text, without reasoning."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def reasoning(self) -> str:
        """All reasoning that is shown."""
        return "".join(part.text for part in self.parts if isinstance(part, Reasoning))

    @property
    def tool_uses(self) -> tuple[ToolUse, ...]:
        """The calls that the model wants, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolUse))


def _parts(content: str | Part | Sequence[str | Part]) -> tuple[Part, ...]:
    items = [content] if isinstance(content, str) or not isinstance(content, Sequence) else content
    return tuple(Text(item) if isinstance(item, str) else item for item in items)


def system(text: str) -> Message:
    """What the model is told to be."""
    return Message("system", (Text(text),))


def user(*content: str | Part) -> Message:
    """What the model is asked: text, images, files, results of tools."""
    return Message("user", _parts(content))


def assistant(*content: str | Part) -> Message:
    """What a model has said."""
    return Message("assistant", _parts(content))
