"""Usage: what the provider counts is told, with what came from its cache and what was reasoning."""

from __future__ import annotations

from ..answers import Reply, Used
from .base import ModelChecks, OpenModel, ask, conversing, streamed

USED = Used(prompt=1_000, completion=50, cached=768, reasoning=20)


class UsageChecks(ModelChecks):
    """Usage: what the provider counts is told, with what came from its cache and what was reasoning."""

    async def test_tokens_are_told(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("x", usage=USED)) as (_, model):
            usage = (await model.respond(ask())).usage
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (1_000, 50, 1_050)

    async def test_cached_and_reasoning_tokens_are_told(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("x", usage=USED)) as (_, model):
            usage = (await model.respond(ask())).usage
        assert (usage.cached_tokens, usage.reasoning_tokens) == (768, 20)

    async def test_a_stream_tells_it_in_the_end(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("a b c", usage=USED)) as (server, model):
            _, response = await streamed(model, ask())
            assert server.requests[0].body["stream_options"] == {"include_usage": True}
        usage = response.usage
        assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (1_000, 768, 50)

    async def test_calls_of_tools_are_counted_too(self, open_model: OpenModel) -> None:
        from ..answers import Called
        from .tools import BOTH

        async with conversing(open_model, Reply(calls=(Called("clock"),), usage=USED)) as (_, model):
            assert (await model.respond(BOTH)).usage.output_tokens == 50

    async def test_an_unknown_price_is_no_price_of_nothing(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply("x", usage=USED)) as (_, model):
            assert (await model.respond(ask())).usage.cost_usd is None
