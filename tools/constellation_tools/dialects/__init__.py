"""Dialects: the same tools for each provider, with a report of what had to be changed.

offer = DIALECTS["openai-chat"].offer(toolset)
offer.request                 what a request says of the tools
offer.reports, offer.skipped  what became of each of them
offer.calls(answer)           the calls in an answer, with arguments as the tools have them
offer.stream()                the same for an answer that comes in pieces
"""

from __future__ import annotations

from collections.abc import Mapping

from .anthropic import Anthropic
from .bedrock import Bedrock
from .calls import CallPart, ToolCall, ToolResult
from .checking import violations
from .cohere import Cohere
from .dialect import Declared, Described, Dialect, Offer
from .gemini import Gemini
from .gemini_live import GeminiLive
from .gemini_openapi import GeminiOpenAPI
from .losses import Loss, LossKind, LossReport
from .mcp import MCP
from .mistral import Mistral
from .openai_chat import OpenAIChat
from .openai_responses import OpenAIResponses
from .rules import RequestRules, Rules
from .streaming import CallStream

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        OpenAIChat(),
        OpenAIResponses(),
        Anthropic(),
        Gemini(),
        GeminiLive(),
        GeminiOpenAPI(),
        Bedrock(),
        Mistral(),
        Cohere(),
        MCP(),
    )
}
"""All dialects by name."""

__all__ = [
    "DIALECTS",
    "CallPart",
    "CallStream",
    "Declared",
    "Described",
    "Dialect",
    "Loss",
    "LossKind",
    "LossReport",
    "Offer",
    "RequestRules",
    "Rules",
    "ToolCall",
    "ToolResult",
    "violations",
]
