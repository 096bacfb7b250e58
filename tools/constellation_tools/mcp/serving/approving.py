"""Approvals of served calls: put to the person behind the client, as questions of the protocol.

Clients of the older protocol are asked in the middle of the call. The newer one has no such requests: there a call is
answered with the question, and made again with the answer and what the server then has to know again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...dialects import ToolCall
from ...errors import InvalidDocument
from ...runner import Answer, Approval, CallBatch
from .results import shortened

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext
    from mcp_types import CallToolRequestParams, ElicitResult, InputRequiredResult

QUESTION = "approval"
"""What the question is called among those of one call."""

_PERSON = "the person at the MCP client"
_NO_FIELDS: dict[str, Any] = {"type": "object", "properties": {}}


async def ask(approval: Approval, context: ServerRequestContext[Any]) -> Answer | None:
    """Have a call approved; None where the question has to be the answer to the call.

    A client that can ask nobody is refused.
    """
    from mcp_types.version import MODERN_PROTOCOL_VERSIONS

    capabilities = context.session.client_capabilities
    if capabilities is None or capabilities.elicitation is None:
        return approval.refuse("this client can't ask anybody", by="the server")
    if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return None
    given = await context.session.elicit_form(_message(approval), _NO_FIELDS, context.request_id)
    return _answer(approval, given)


def question(batch: CallBatch) -> InputRequiredResult:
    """The answer to a call that waits to be approved."""
    from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

    (approval,) = batch.approvals
    form = ElicitRequestFormParams(message=_message(approval), requested_schema=_NO_FIELDS)
    return InputRequiredResult(input_requests={QUESTION: ElicitRequest(params=form)}, request_state=batch.to_json())


def resumed(params: CallToolRequestParams) -> CallBatch | None:
    """The call that waited to be approved, with the answer; None for a call that is made for the first time.

    Raises:
        InvalidDocument: what the client sent back is not what it was given, or is of another call.
    """
    from mcp_types import ElicitResult

    if params.request_state is None:
        return None
    batch = CallBatch.from_json(params.request_state)
    if len(batch.entries) != 1 or not _is_same(batch.entries[0].call, params):
        raise InvalidDocument("the state that came with the call is of another call")
    given = (params.input_responses or {}).get(QUESTION)
    if isinstance(given, ElicitResult):
        batch.answer(*(_answer(approval, given) for approval in batch.approvals))
    return batch


def _is_same(call: ToolCall, params: CallToolRequestParams) -> bool:
    return call.name == params.name and call.arguments == (params.arguments or {})


def _message(approval: Approval) -> str:
    return shortened(f"May the tool {approval.tool} be called with {dict(approval.arguments)}? ({approval.reason})")


def _answer(approval: Approval, given: ElicitResult) -> Answer:
    if given.action == "accept":
        return approval.grant(by=_PERSON)
    return approval.refuse("it was declined" if given.action == "decline" else "nobody has decided", by=_PERSON)
