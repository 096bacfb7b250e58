"""Pictures and files: they arrive with their bytes, in the order in which they were given."""

from __future__ import annotations

import json

import pytest

from ....llm import File, Image, InvalidRequest, Message, ModelRequest, user
from ..answers import Fault
from .base import ModelChecks, OpenModel, conversing

PNG = Image(b"\x89PNG\r\n", media_type="image/png")
PNG_URL = "data:image/png;base64,iVBORw0K"


class MediaChecks(ModelChecks):
    """Pictures and files: they arrive with their bytes, in the order in which they were given."""

    async def test_a_picture_arrives_with_its_bytes_and_its_type(self, open_model: OpenModel) -> None:
        async with conversing(open_model, "A cat.") as (server, model):
            await model.respond(ModelRequest((user("What is it?", PNG),)))
            text, picture = server.requests[0].messages[0]["content"]
        assert (text["type"], text["text"]) == ("text", "What is it?")
        assert (picture["type"], picture["image_url"]["url"]) == ("image_url", PNG_URL)

    async def test_a_picture_may_be_given_by_its_url(self, open_model: OpenModel) -> None:
        async with conversing(open_model, "A cat.") as (server, model):
            await model.respond(ModelRequest((user(Image(url="https://example.org/cat.png"), "What is it?"),)))
            picture = server.requests[0].messages[0]["content"][0]
        assert picture["image_url"]["url"] == "https://example.org/cat.png"

    async def test_several_keep_their_order(self, open_model: OpenModel) -> None:
        other = Image(b"GIF8", media_type="image/gif")
        async with conversing(open_model, "Two.") as (server, model):
            await model.respond(ModelRequest((user("First", PNG, "then", other, "what?"),)))
            content = server.requests[0].messages[0]["content"]
        assert [block["type"] for block in content] == ["text", "image_url", "text", "image_url", "text"]
        assert content[3]["image_url"]["url"].startswith("data:image/gif;base64,")

    async def test_a_file_arrives_with_its_bytes_and_its_name(self, open_model: OpenModel) -> None:
        async with conversing(open_model, "A report.") as (server, model):
            await model.respond(ModelRequest((user("Sum up.", File(b"%PDF-1.7", "report.pdf")),)))
            sent = json.dumps(server.requests[0].messages)
        assert "report.pdf" in sent
        assert "JVBERi0xLjc=" in sent

    async def test_a_model_can_not_be_said_to_have_sent_a_picture(self, open_model: OpenModel) -> None:
        request = ModelRequest((Message("assistant", (PNG,)), user("hm")))
        async with conversing(open_model, rules=[lambda seen: Fault(400)]) as (server, model):
            with pytest.raises(InvalidRequest, match="image"):
                await model.respond(request)
            assert server.requests == []
