"""What a star does: a tagged union of a tool call, a prompt, an approval and a nested constellation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Discriminator, Tag

from .record import record

_STRICT = ConfigDict(extra="forbid")

NO_ARGUMENTS: Mapping[str, Any] = {}
"""The arguments of work that has none; shared, so that it is known not to belong to anybody else."""


@record
class ToolCall:
    """Call a tool that a device offers. Deterministic: the device's model, if any, has no part in it.

    Attributes:
        tool: The tool's name.
        arguments: JSON, in which `{"$ref": "<star id>#<JSON pointer>"}` stands for another star's output.
    """

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: NO_ARGUMENTS)
    kind: Literal["tool"] = "tool"

    __pydantic_config__ = _STRICT


@record
class Prompt:
    """Have the device's LLM agent carry out an instruction. Its output is the answer's text, or what `output` says.

    Attributes:
        instruction: What to do, for the model.
        arguments: JSON given along, in which references stand for other stars' outputs. The model is shown it as data.
        output: JSON Schema that the output has to fit; None for text.
        tool: The tool that a device with an LLM agent offers, which carries prompts out.
    """

    tool: ClassVar[str] = "prompt"

    instruction: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: NO_ARGUMENTS)
    output: Mapping[str, Any] | None = None
    kind: Literal["prompt"] = "prompt"

    __pydantic_config__ = _STRICT


@record
class Approval:
    """Ask a person; succeeds with the answer when approved and fails when denied. Holds no device.

    Attributes:
        question: What the person is asked.
        arguments: JSON shown with the question, in which references stand for other stars' outputs.
    """

    question: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: NO_ARGUMENTS)
    kind: Literal["approval"] = "approval"

    __pydantic_config__ = _STRICT


@record
class Nested:
    """Run a whole constellation as one star; its output maps the ids of the inner stars that end it to their outputs.

    Attributes:
        constellation: The inner constellation as a document.
        arguments: JSON for it, in which references stand for other stars' outputs; an inner argument
            `{"$input": "<JSON pointer>"}` stands for the part of it that the pointer names.
    """

    constellation: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=lambda: NO_ARGUMENTS)
    kind: Literal["nested"] = "nested"

    __pydantic_config__ = _STRICT


_TELLING_FIELD = {"tool": "tool", "instruction": "prompt", "question": "approval", "constellation": "nested"}


def _kind_of(value: Any) -> str | None:
    """The tag of a work; where a document leaves it out, the one field that only this kind has tells it."""
    if not isinstance(value, Mapping):
        return getattr(value, "kind", None)
    if "kind" in value:
        return str(value["kind"])
    return next((kind for name, kind in _TELLING_FIELD.items() if name in value), None)


Work = Annotated[
    Annotated[ToolCall, Tag("tool")]
    | Annotated[Prompt, Tag("prompt")]
    | Annotated[Approval, Tag("approval")]
    | Annotated[Nested, Tag("nested")],
    Discriminator(
        _kind_of,
        custom_error_type="work_kind",
        custom_error_message="a star's work needs one of: tool, instruction, question, constellation",
    ),
]
"""Any work."""

_KINDS = (ToolCall, Prompt, Approval, Nested)
_TELLING_NAME: Mapping[type, str] = {
    ToolCall: "tool",
    Prompt: "instruction",
    Approval: "question",
    Nested: "constellation",
}


def fault_of(work: object) -> str | None:
    """What keeps a value from being work; None when nothing does."""
    if not isinstance(work, _KINDS):
        return f"its work is {work!r}, and has to be a ToolCall, a Prompt, an Approval or a Nested"
    arguments: object = work.arguments
    if not isinstance(arguments, (dict, Mapping)):
        return f"its arguments are {arguments!r}, and have to be values by their names"
    said: object = getattr(work, _TELLING_NAME[type(work)])
    wanted, what = ((dict, Mapping), "a document") if isinstance(work, Nested) else ((str,), "text")
    if not isinstance(said, wanted):
        return f"its {_TELLING_NAME[type(work)]} is {said!r}, and has to be {what}"
    output: object = work.output if isinstance(work, Prompt) else None
    if output is not None and not isinstance(output, (dict, Mapping)):
        return f"its output is {output!r}, and has to be a JSON Schema"
    return None
