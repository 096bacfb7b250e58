"""Cancelling: whoever does not want an answer any more closes the connection, which the server sees; others go on."""

from __future__ import annotations

import anyio
import pytest

from ....llm import Model, TextDelta
from ..answers import Gate, Reply
from .base import PATIENCE_S, ModelChecks, OpenModel, ask, conversing, streamed


class CancellingChecks(ModelChecks):
    """Cancelling: the connection is closed, which the server sees; others go on."""

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    async def test_cancelling_before_anything_came_closes_the_connection(
        self, open_model: OpenModel, stream: bool
    ) -> None:
        gate = Gate()
        async with conversing(open_model, Reply("never", gate=gate)) as (server, model):
            with anyio.fail_after(PATIENCE_S):
                async with anyio.create_task_group() as group:
                    if stream:
                        group.start_soon(streamed, model, ask())
                    else:
                        group.start_soon(model.respond, ask())
                    await gate.reached.wait()
                    group.cancel_scope.cancel()
                await server.requests[0].left.wait()

    async def test_cancelling_in_mid_stream_closes_the_connection(self, open_model: OpenModel) -> None:
        gate = Gate(pieces=3)
        shown: list[str] = []
        async with conversing(open_model, Reply("a b c d e f", pieces=6, gate=gate)) as (server, model):

            async def read() -> None:
                async with model.stream(ask()) as stream:
                    async for delta in stream:
                        assert isinstance(delta, TextDelta)
                        shown.append(delta.text)

            with anyio.fail_after(PATIENCE_S):
                async with anyio.create_task_group() as group:
                    group.start_soon(read)
                    await gate.reached.wait()
                    group.cancel_scope.cancel()
                await server.requests[0].left.wait()
        assert "".join(shown) in "a b c d e f"

    async def test_leaving_a_stream_closes_the_connection(self, open_model: OpenModel) -> None:
        gate = Gate(pieces=3)
        async with conversing(open_model, Reply("a b c d e f", pieces=6, gate=gate)) as (server, model):
            with anyio.fail_after(PATIENCE_S):
                async with model.stream(ask()) as stream:
                    await anext(aiter(stream))
                await server.requests[0].left.wait()

    async def test_an_error_of_the_reader_closes_the_connection_and_comes_out(self, open_model: OpenModel) -> None:
        gate = Gate(pieces=3)
        async with conversing(open_model, Reply("a b c d e f", pieces=6, gate=gate)) as (server, model):
            with anyio.fail_after(PATIENCE_S):
                with pytest.raises(ZeroDivisionError):
                    await fail_while_reading(model)
                await server.requests[0].left.wait()

    async def test_others_go_on_when_one_is_cancelled(self, open_model: OpenModel) -> None:
        one, other = Gate(), Gate()
        answers: list[str] = []
        script = (Reply("never", gate=one), Reply("still here", gate=other))
        async with conversing(open_model, *script) as (server, model):
            with anyio.fail_after(PATIENCE_S):
                async with anyio.create_task_group() as group:

                    async def wanted() -> None:
                        answers.append((await model.respond(ask())).text)

                    scope = anyio.CancelScope()

                    async def unwanted() -> None:
                        with scope:
                            await model.respond(ask())

                    group.start_soon(unwanted)
                    await one.reached.wait()
                    group.start_soon(wanted)
                    await other.reached.wait()
                    scope.cancel()
                    await server.requests[0].left.wait()
                    other.opened.set()
        assert answers == ["still here"]

    async def test_a_model_works_after_a_cancelled_request(self, open_model: OpenModel) -> None:
        gate = Gate(pieces=2)
        async with conversing(open_model, Reply("a b c d", pieces=4, gate=gate), "next") as (_, model):
            with anyio.fail_after(PATIENCE_S):
                async with model.stream(ask()) as stream:
                    await anext(aiter(stream))
                assert (await model.respond(ask())).text == "next"


async def fail_while_reading(model: Model) -> None:
    """Read one piece, and fail."""
    async with model.stream(ask()) as stream:
        await anext(aiter(stream))
        raise ZeroDivisionError
