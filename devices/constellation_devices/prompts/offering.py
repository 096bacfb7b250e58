"""The device's tools in the words of the model's provider, and its calls in the words of the tools."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from constellation.llm import InvalidToolArguments, ModelAddress, ModelMisconfigured, ToolSpec, ToolUse
from constellation_tools import Tool, ToolSkipped
from constellation_tools.dialects import DIALECTS, Declared, ToolCall

_OF_PROVIDER: Mapping[str, str] = {
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "gemini": "gemini",
    "mistral": "mistral",
    "vertex_ai": "gemini",
}
"""Dialects by the provider that a model string names; all others take what OpenAI takes."""


def dialect_of(model: str) -> str:
    """The dialect of tools that a model is told in."""
    try:
        provider = ModelAddress.parse(model).provider
    except ModelMisconfigured:
        return "openai-chat"  # a model that was not made of a string
    return _OF_PROVIDER.get(provider, "openai-chat")


class ToolOffer:
    """Tools as one model is told of them.

    Attributes:
        specs: What it is told.
        skipped: The tools that it can't be told of, with the reason.
    """

    def __init__(self, tools: Iterable[Tool[..., Any]], dialect: str) -> None:
        """Say tools in a dialect."""
        known = list(tools)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ToolSkipped)  # told in `skipped`
            offer = DIALECTS[dialect].offer(known, strict=False)
        self.skipped = offer.skipped
        self._declared: Mapping[str, Declared] = {
            each.tool: each for each in offer.declared if each.report.refused is None
        }
        descriptions = {tool.name: tool.description for tool in known}
        self.specs: Sequence[ToolSpec] = [
            ToolSpec(name, descriptions[name], each.schema) for name, each in self._declared.items()
        ]

    def call_of(self, use: ToolUse) -> ToolCall:
        """A model's call as the tool takes it; one that can't be read has a `problem`."""
        try:
            arguments = use.decoded()
        except InvalidToolArguments as error:
            return ToolCall(use.id, use.name, problem=str(error))
        declared = self._declared.get(use.name)
        return ToolCall(use.id, use.name, arguments if declared is None else declared.restored(arguments))
