"""Errors: what a provider refuses is told by its reason, once, and without the key."""

from __future__ import annotations

import pytest

from ....llm import (
    AccessDenied,
    ContextOverflow,
    LLMError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServerFault,
)
from ..answers import Fault, Raw
from .base import KEY, ModelChecks, OpenModel, ask, conversing, settings, streamed

KINDS = [
    (Fault(400, "max_tokens is wrong"), RequestRefused),
    (Fault(404, "no such model"), RequestRefused),
    (Fault(422, "what is that"), RequestRefused),
    (Fault(401, "who are you"), AccessDenied),
    (Fault(403, "not for you"), AccessDenied),
    (Fault(429, "you have nothing left", "insufficient_quota"), QuotaExhausted),
]

OVERFLOWS = [
    Fault(400, "too long", "context_length_exceeded"),
    Fault(400, "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."),
]


class ErrorChecks(ModelChecks):
    """Errors: what a provider refuses is told by its reason, once, and without the key."""

    @pytest.mark.parametrize(("fault", "kind"), KINDS, ids=lambda value: str(getattr(value, "status", "")))
    async def test_a_refusal_is_told_by_its_reason_and_not_tried_again(
        self, open_model: OpenModel, fault: Fault, kind: type[ProviderError]
    ) -> None:
        async with conversing(open_model, fault) as (server, model):
            with pytest.raises(kind, match=fault.message) as caught:
                await model.respond(ask())
            assert len(server.requests) == 1
        assert caught.value.status == fault.status

    @pytest.mark.parametrize("fault", OVERFLOWS, ids=["by its code", "by its words"])
    async def test_a_conversation_that_is_too_long_is_told_as_one(self, open_model: OpenModel, fault: Fault) -> None:
        async with conversing(open_model, fault, fault) as (server, model):
            with pytest.raises(ContextOverflow):
                await model.respond(ask())
            with pytest.raises(ContextOverflow):
                await streamed(model, ask())
            assert len(server.requests) == 2

    @pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (500, ServerFault), (503, ServerFault)])
    async def test_what_fails_every_time_is_told_in_the_end(
        self, open_model: OpenModel, status: int, kind: type[ProviderError]
    ) -> None:
        patience = settings(attempts=3)
        async with conversing(open_model, *[Fault(status, "busy")] * 3, patience=patience) as (server, model):
            with pytest.raises(kind, match="busy"):
                await model.respond(ask())
            assert len(server.requests) == 3

    async def test_a_stream_that_is_refused_says_so_when_it_is_opened(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Fault(400, "stream is wrong")) as (_, model):
            with pytest.raises(RequestRefused, match="stream is wrong"):
                await streamed(model, ask())

    @pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"{}", b'{"choices": []}', b"[]"])
    async def test_what_is_no_answer_is_an_error_of_ours(self, open_model: OpenModel, body: bytes) -> None:
        async with conversing(open_model, rules=[lambda seen: Raw(body)]) as (_, model):
            with pytest.raises(LLMError):
                await model.respond(ask())

    async def test_the_key_is_sent_and_never_told(self, open_model: OpenModel) -> None:
        fault = Fault(401, f"Incorrect API key provided: {KEY}.")
        async with conversing(open_model, fault) as (server, model):
            with pytest.raises(AccessDenied) as caught:
                await model.respond(ask())
            assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        error: BaseException | None = caught.value
        told = ""
        while error is not None:
            told += f"{error} {error!r} {vars(error)}"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        assert KEY not in told
        assert KEY not in repr(model)
