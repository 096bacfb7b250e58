"""Structured output: an answer that has to be of a type is checked, and is a value."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel

from ....llm import InvalidOutput, OutputType
from ..answers import Called, Reply
from .base import ModelChecks, OpenModel, ask, conversing, streamed
from .tools import CLOCK


class Leg(BaseModel):
    """A part of a trip."""

    to: str
    km: float


class Trip(BaseModel):
    """A trip."""

    name: str
    legs: list[Leg]


TRIP = '{"name": "north", "legs": [{"to": "Oslo", "km": 12.5}, {"to": "Bodø", "km": 900}]}'

TYPED = replace(ask("Plan a trip."), output=OutputType(Trip))


class OutputChecks(ModelChecks):
    """Structured output: an answer that has to be of a type is checked, and is a value."""

    async def test_the_answer_is_a_value_of_the_type(self, open_model: OpenModel) -> None:
        async with conversing(open_model, TRIP) as (_, model):
            output = (await model.respond(TYPED)).output
        assert output == Trip(name="north", legs=[Leg(to="Oslo", km=12.5), Leg(to="Bodø", km=900)])

    async def test_the_schema_is_sent(self, open_model: OpenModel) -> None:
        async with conversing(open_model, TRIP) as (server, model):
            await model.respond(TYPED)
            sent = server.requests[0].body["response_format"]
        assert sent["type"] == "json_schema"
        assert sent["json_schema"]["name"] == "Trip"
        assert set(sent["json_schema"]["schema"]["properties"]) == {"name", "legs"}

    async def test_a_streamed_answer_is_a_value_in_the_end(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply(TRIP, pieces=9)) as (_, model):
            _, response = await streamed(model, TYPED)
        assert response.output.legs[1].to == "Bodø"

    @pytest.mark.parametrize(
        "text", ['{"name": "north"}', '{"name": "north", "legs": [{"to": "Oslo"}]}', "A trip!", ""]
    )
    async def test_an_answer_that_does_not_fit_says_why(self, open_model: OpenModel, text: str) -> None:
        async with conversing(open_model, text) as (_, model):
            with pytest.raises(InvalidOutput, match="does not fit") as caught:
                await model.respond(TYPED)
        assert caught.value.text == text
        assert caught.value.usage is not None
        assert caught.value.usage.total_tokens == 15

    async def test_a_type_that_is_no_object_works_as_well(self, open_model: OpenModel) -> None:
        request = replace(ask("Primes?"), output=OutputType(list[int], name="primes"))
        async with conversing(open_model, '{"result": [2, 3, 5]}') as (server, model):
            assert (await model.respond(request)).output == [2, 3, 5]
            assert server.requests[0].body["response_format"]["json_schema"]["schema"]["type"] == "object"

    async def test_a_call_of_a_tool_may_come_first(self, open_model: OpenModel) -> None:
        async with conversing(open_model, Reply(calls=(Called("clock"),))) as (_, model):
            response = await model.respond(replace(TYPED, tools=(CLOCK,)))
        assert (response.output, response.finish_reason) == (None, "tool_use")
