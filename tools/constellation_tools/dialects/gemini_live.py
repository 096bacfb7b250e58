"""Google's Gemini in a Live session: the declarations of Gemini, and messages of the session in place of contents.

Rules: the reference of the Live API (https://ai.google.dev/api/live). A function may be declared as non-blocking there:
the conversation goes on, and the response to its call is taken whenever it comes. The session may take calls back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .calls import NAMELESS, CallPart, ToolCall, ToolResult, given_id
from .gemini import Gemini


class GeminiLive(Gemini):
    """Function declarations of a session's setup, and its messages `toolCall` and `toolResponse`."""

    name = "gemini-live"
    late_results = True

    def late_payload(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The declaration of a function that blocks nothing."""
        return {**payload, "behavior": "NON_BLOCKING"}

    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """Those of one message of the session."""
        return [
            self.read_call(part.id or f"{NAMELESS}{number}", part.name, part.arguments)
            for number, part in enumerate(self.read_event(answer))
        ]

    def read_cancelled(self, message: Mapping[str, Any]) -> list[str]:
        """The ids of calls that a message of the session takes back, such as when the user has interrupted."""
        return list((message.get("toolCallCancellation") or {}).get("ids") or ())

    def write_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """One message of the session."""
        written = [{**given_id(call.id), "name": call.name, "args": call.arguments} for call in calls]
        return [{"toolCall": {"functionCalls": written}}]

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One message to the session with all of them, each an object."""
        responses = [{**given_id(each.id), "name": each.name, "response": each.mapping} for each in results]
        return [{"toolResponse": {"functionResponses": responses}}] if responses else []

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """The calls of a message, each of them whole."""
        return [
            CallPart(id=call.get("id") or "", name=call["name"], arguments=call.get("args") or {}, ends=True)
            for call in (event.get("toolCall") or {}).get("functionCalls") or ()
        ]
