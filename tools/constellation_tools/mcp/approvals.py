"""A server's questions as requests for approval, for hosts that can ask a person yes or no and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..runner import Approval, Approver
from ..runner.approvals import check, digest_of, new_id
from .elicitation import Elicit, Elicitation, ElicitationAnswer

TOOL = "mcp_question"
"""What the requests say in the place of a tool's name; the server is among the arguments."""


def by_approval(approver: Approver) -> Elicit:
    """Have questions answered by approvals.

    A grant accepts a question that wants nothing but yes, or that sends the person to a URL; a refusal declines it.
    A question that wants to know more can't be answered so, and is cancelled without anybody being asked.
    """

    async def elicit(question: Elicitation) -> ElicitationAnswer:
        content = None if question.schema is None else _yes(question.schema)
        if question.schema is not None and content is None:
            return ElicitationAnswer("cancel")
        arguments = {"server": question.server, "message": question.message, "url": question.url}
        schema = question.schema or {}
        approval = Approval(
            new_id(), "", TOOL, arguments, digest_of(TOOL, schema, arguments), f"the MCP server {question.server} asks"
        )
        answer = await approver(approval)
        if answer is None:
            return ElicitationAnswer("cancel")
        check(answer, approval, approval.digest)
        return ElicitationAnswer("accept", content or {}) if answer.granted else ElicitationAnswer("decline")

    return elicit


def _yes(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a form is filled with by somebody who says yes; None where that does not fill it."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    required = schema.get("required", ())
    if any(properties.get(name, {}).get("type") != "boolean" for name in required):
        return None
    return dict.fromkeys(required, True)
