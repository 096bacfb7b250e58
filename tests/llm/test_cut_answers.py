"""Answers that are cut: at every byte of a stream, before, within and behind the head, with every end of a connection.

Whatever is cut, there is either the whole answer or an error that says that the connection was lost, which is tried
again where nothing was shown yet. Never is a part of an answer taken for the whole, and nothing waits for ever.
"""

from __future__ import annotations

import json

import anyio
import pytest

from constellation.llm import (
    ChatModel,
    ClientSettings,
    ConnectionLost,
    ContextOverflow,
    Delta,
    MalformedResponse,
    Model,
    ModelRequest,
    ModelResponse,
    ProviderError,
    Retries,
    ServerFault,
    ToolUse,
    open_model,
    user,
)

from .raw_server import EVENTS, UNTIL_CLOSED, End, RawServer, Said, chunked, event, raw_server, whole

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

REQUEST = ModelRequest((user("Say something."),))
DONE = b"data: [DONE]\n\n"
STREAM = (
    event({"role": "assistant", "content": ""})
    + event({"content": "h\u00e9 \U0001f600"})
    + b": ping\n\n"
    + event({"tool_calls": [{"index": 0, "id": "one", "function": {"name": "f", "arguments": '{"a": "\\'}}]})
    + event({"tool_calls": [{"index": 0, "function": {"arguments": 'u00e9"}'}}]})
    + event({}, "tool_calls")
    + event(usage={"prompt_tokens": 3, "completion_tokens": 2})
    + DONE
)
WHOLE = whole(
    json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}],
        }
    ).encode()
)
NOW = Retries(attempts=2, first_s=0, most_s=0)


def model_at(server: RawServer, retries: Retries = NOW) -> ChatModel:
    return open_model(server.model, api_key="sk-x", settings=ClientSettings(retries))


async def streamed(model: Model) -> tuple[list[Delta], ModelResponse | ProviderError]:
    shown: list[Delta] = []
    try:
        async with model.stream(REQUEST) as stream:
            async for delta in stream:
                shown.append(delta)
            return shown, stream.response
    except ProviderError as error:
        return shown, error


async def answered(model: Model) -> ModelResponse:
    _, outcome = await streamed(model)
    if isinstance(outcome, ProviderError):
        raise outcome
    return outcome


def framed(framing: str, body: bytes, cut: int | None = None) -> bytes:
    """A stream of events in a framing of HTTP, cut behind so many bytes of its body."""
    sent = body[:cut]
    if framing == "until closed":
        return UNTIL_CLOSED + sent
    if framing == "length":
        return EVENTS + b"content-length: %d\r\n\r\n" % len(body) + sent
    end = b"0\r\n\r\n" if cut is None else b""
    return EVENTS + b"transfer-encoding: chunked\r\n\r\n" + chunked(sent) + end if sent else EVENTS + b"\r\n"


@pytest.mark.parametrize(
    ("framing", "end", "step"),
    [
        ("until closed", "close", 1),
        ("until closed", "reset", 11),
        ("length", "close", 7),
        ("length", "reset", 11),
        ("chunked", "close", 7),
        ("chunked", "reset", 11),
    ],
)
async def test_a_stream_cut_at_any_byte_is_whole_or_lost(framing: str, end: End, step: int) -> None:
    again = Said([framed("chunked", STREAM)])
    finished = STREAM.index(b"}", STREAM.index(b'"finish_reason": "tool_calls"'))
    async with raw_server(again) as server, model_at(server) as model:
        _, wanted = await streamed(model)
        assert isinstance(wanted, ModelResponse)
        assert wanted.message.tool_uses == (ToolUse("one", "f", '{"a": "\\u00e9"}'),)
        for cut in range(0, len(STREAM), step):
            server.add(Said([framed(framing, STREAM, cut)], end), again)
            with anyio.fail_after(20):
                shown, outcome = await streamed(model)
            if isinstance(outcome, ModelResponse):
                assert outcome.message == wanted.message
                assert outcome == wanted or cut > finished, cut
                assert not server.left or cut > finished, "only what was whole is not asked for again"
            else:
                assert isinstance(outcome, ConnectionLost), (cut, outcome)
                assert shown, "nothing was shown, so it could have been tried again"
                assert server.left, "what was shown is not asked for again"
            server.forget()


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer_cut_before_or_in_its_head_is_asked_for_again(end: End, streams: bool) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    async with raw_server() as server, model_at(server) as model:
        for cut in range(0, len(head), 5):
            server.add(Said([head[:cut]], end), WHOLE)
            response = (await streamed(model))[1] if streams else await model.respond(REQUEST)
            assert isinstance(response, ModelResponse), (cut, response)
            assert response.text == "whole"
        server.add(Said([], "reset", unread=True), WHOLE)
        response = (await streamed(model))[1] if streams else await model.respond(REQUEST)
        assert isinstance(response, ModelResponse)


@pytest.mark.parametrize("framing", ["until closed", "length"])
async def test_a_whole_answer_cut_at_any_byte_is_asked_for_again(framing: str) -> None:
    body = WHOLE.pieces[0].partition(b"\r\n\r\n")[2]
    length = b"content-length: %d\r\n" % len(body) if framing == "length" else b""
    async with raw_server() as server, model_at(server) as model:
        for cut in range(1, len(body), 7):
            server.add(Said([b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + length, b"\r\n" + body[:cut]]))
            server.add(WHOLE)
            assert (await model.respond(REQUEST)).text == "whole", cut


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_an_error_whose_body_is_cut_is_tried_again(end: End) -> None:
    cut = Said([b'HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"err'], end)
    async with raw_server(cut, WHOLE, cut, WHOLE) as server, model_at(server) as model:
        assert (await model.respond(REQUEST)).text == "whole"
        assert isinstance((await streamed(model))[1], ModelResponse)


@pytest.mark.parametrize("pieces", ["bytes", "lines", "together"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
async def test_however_a_stream_is_chunked_it_is_the_same(pieces: str, line_end: bytes) -> None:
    body = b"\xef\xbb\xbf" + STREAM.replace(b"\n", line_end)
    split = {"bytes": [bytes([byte]) for byte in body], "lines": body.splitlines(keepends=True), "together": [body]}
    said = [EVENTS + b"transfer-encoding: chunked\r\n\r\n", *(chunked(part) for part in split[pieces]), b"0\r\n\r\n"]
    async with raw_server(Said(said)) as server, model_at(server) as model:
        _, response = await streamed(model)
    assert isinstance(response, ModelResponse)
    assert (response.text, response.usage.total_tokens) == ("h\u00e9 \U0001f600", 5)
    assert response.message.tool_uses == (ToolUse("one", "f", '{"a": "\\u00e9"}'),)


@pytest.mark.parametrize("end", ["stay", "reset", "close"])
async def test_what_becomes_of_the_connection_behind_the_end_does_not_matter(
    end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some proxies leave it open, or cut it where HTTP's own end was due."""
    monkeypatch.setattr("constellation.llm.clients.openai.DRAIN_S", 0.01)
    said = Said([EVENTS + b"transfer-encoding: chunked\r\n\r\n" + chunked(STREAM)], end)
    async with raw_server(said) as server, model_at(server) as model:
        _, response = await streamed(model)
        assert isinstance(response, ModelResponse), response
        if end == "stay":
            with anyio.fail_after(20):
                await server.gone.wait()


async def test_an_end_without_a_reason_is_an_end_where_the_server_says_that_all_is_said() -> None:
    said = event({"content": "hi"})
    async with raw_server(Said([UNTIL_CLOSED + said + DONE]), Said([UNTIL_CLOSED + said])) as server:
        async with model_at(server) as model:
            _, response = await streamed(model)
            assert isinstance(response, ModelResponse)
            assert (response.text, response.finish_reason) == ("hi", "other")
            assert isinstance((await streamed(model))[1], ConnectionLost)


async def test_a_stream_that_ends_and_says_nothing_is_no_answer() -> None:
    async with raw_server(Said([UNTIL_CLOSED + DONE]), Said([UNTIL_CLOSED + STREAM])) as server:
        async with model_at(server) as model:
            assert isinstance((await streamed(model))[1], ModelResponse), (
                "the second, for nothing was shown of the first"
            )


@pytest.mark.parametrize(
    "complaint",
    [
        b'data: {"error": {"message": "engine died", "code": 500}}\n\n',
        b'data: {"object": "error", "message": "engine died", "code": 500}\n\n',
        b'event: error\ndata: {"message": "engine died"}\n\n',
        b'data: {"choices": [{"delta": {}, "finish_reason": "error"}]}\n\n',
        b'data: {"choices": [{"delta": {}, "finish_reason": "abort"}]}\n\n',
    ],
)
async def test_a_part_of_an_answer_that_the_server_gives_up_is_no_answer(complaint: bytes) -> None:
    said = event({"content": "hi"})
    async with raw_server(Said([UNTIL_CLOSED + said, complaint + DONE])) as server:
        async with model_at(server, Retries(attempts=1)) as model:
            _, error = await streamed(model)
    assert isinstance(error, ServerFault)
    assert "engine died" in str(error) or "gave the answer up" in str(error)


async def test_an_error_in_the_place_of_a_whole_answer_is_told() -> None:
    body = b'{"object": "error", "message": "This model\'s maximum context length is 8 tokens", "code": 400}'
    async with raw_server(whole(body)) as server, model_at(server) as model:
        with pytest.raises(ContextOverflow, match="maximum context length"):
            await model.respond(REQUEST)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("media", ["application/json", "text/event-stream"])
async def test_an_answer_without_end_is_given_up(media: str, streams: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("constellation.llm.clients.openai.MOST_BYTES", 10_000)
    said = event({"content": "x" * 500})
    pieces = [f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\n\r\n".encode(), *[said] * 1_000]
    async with raw_server(Said(pieces, "stay")) as server, model_at(server) as model:
        with anyio.fail_after(20):
            with pytest.raises(MalformedResponse, match="longer than 10000 bytes"):
                await (answered if streams else model.respond)(model if streams else REQUEST)  # type: ignore[arg-type]
            await server.gone.wait()


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        [],
        [b"HTTP/1.1 200 OK\r\ncontent-ty"],
        [UNTIL_CLOSED],
        [UNTIL_CLOSED + event({"content": "hi"}) + b"data: {"],
        [b"HTTP/1.1 503 Busy\r\ncontent-length: 100\r\n\r\n{"],
    ],
)
async def test_cancelling_in_any_phase_frees_the_connection(said: list[bytes], streams: bool) -> None:
    async with raw_server(Said(said, "stay"), WHOLE) as server, model_at(server) as model:
        async with anyio.create_task_group() as group:
            group.start_soon(streamed if streams else model.respond, model if streams else REQUEST)  # type: ignore[arg-type]
            with anyio.fail_after(20):
                await server.sent.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(20):
            await server.gone.wait()
        assert (await model.respond(REQUEST)).text == "whole"
