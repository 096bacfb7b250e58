"""The answer that a prompt is done with: text, or what fits its schema, said as text or by a call of the tool `answer`.

A model that may call tools is asked for a structured answer by a tool of its own: not every server can be asked for
tools and for a format at once. Where no tool may be called any more, it is asked for the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from constellation.llm import SchemaOutput, ToolSpec, ToolUse

ANSWER_TOOL = "answer"

_DESCRIPTION = "Give your answer, when you are done."


class Answering:
    """What counts as an answer.

    Attributes:
        type: What the model is asked for when it can't call `answer`; None for text.
        tools: `answer`, where the output has a schema.
    """

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        """Take the schema of a prompt's output, or None for text.

        Raises:
            InvalidRequest: it is no schema.
        """
        self.type = None if schema is None else SchemaOutput.of(schema, ANSWER_TOOL)
        self.tools = () if self.type is None else (ToolSpec(ANSWER_TOOL, _DESCRIPTION, self.type.schema),)

    def takes(self, use: ToolUse) -> bool:
        """Whether a call gives the answer."""
        return self.type is not None and use.name == ANSWER_TOOL

    def of_call(self, use: ToolUse) -> Any:
        """The answer that a call of `answer` gives.

        Raises:
            InvalidOutput: it does not fit.
        """
        assert self.type is not None
        return self.type.parse(use.arguments or "{}")

    def of_text(self, text: str) -> Any:
        """The answer that a text is.

        Raises:
            InvalidOutput: it does not fit.
        """
        return text if self.type is None else self.type.parse(text)
