"""Prompts from the graph to a model and back: real device processes, a real HTTP server of models."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from constellation import DeviceSpec, Event, ModelAgent, Orchestrator, Prompt, RetryPolicy, RunReport, TaskConstellation
from constellation.llm import Conversation
from constellation.orchestrator.events import StarProgress, StarSettled
from constellation.testing.models import Called, Fault, Gate, ModelServer, Reply, SeenRequest
from constellation_devices import DeviceNotStarted

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.timeout(240)]

TOOLS = str(Path(__file__).with_name("prompt_tools.py"))
PATIENCE_S = 200.0
KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def orchestrator_of(
    server: ModelServer, *, model: str | None = None, kind: str = "process", root: Path | None = None, **agent: Any
) -> AsyncIterator[Orchestrator]:
    spec = DeviceSpec("desk", slots=2, tools=[TOOLS], root=root, agent=ModelAgent(model or server.model, **agent))
    with anyio.fail_after(PATIENCE_S):
        async with Orchestrator.local([spec], kind=kind) as orchestrator:
            yield orchestrator


class Course:
    """How a run went."""

    def __init__(self, report: RunReport, events: Sequence[Event]) -> None:
        self.report = report
        self.settled = {event.star: event for event in events if isinstance(event, StarSettled)}
        self.progress = [event for event in events if isinstance(event, StarProgress)]

    @property
    def output(self) -> Any:
        (star,) = self.settled.values()
        assert star.state == "succeeded", star.error
        return star.output

    @property
    def error(self) -> Mapping[str, Any]:
        (star,) = self.settled.values()
        assert star.error is not None, star
        return star.error

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [e.data for e in self.progress if isinstance(e.data, dict) and e.data.get("agent") == kind]


async def course(graph: TaskConstellation, server: ModelServer, **options: Any) -> Course:
    async with orchestrator_of(server, **options) as orchestrator:
        run = await orchestrator.submit(graph)
        events = [event async for event in run.events()]
        return Course(await run.wait(), events)


def one_star(instruction: str = "Do it.", **options: Any) -> TaskConstellation:
    prompt = Prompt(instruction, options.pop("given", {}), options.pop("output", None))
    graph = TaskConstellation("g")
    graph.star("ask", prompt, **options)
    return graph


def texts_of(request: SeenRequest) -> list[str]:
    return [str(message.get("content")) for message in request.messages]


def results_of(request: SeenRequest) -> list[str]:
    return [message["content"] for message in request.messages if message["role"] == "tool"]


@pytest.mark.parametrize("through", ["openai", "litellm"])
async def test_the_answer_of_one_star_is_given_to_the_next_as_data(through: str) -> None:
    graph = TaskConstellation("two")
    first = graph.star("first", Prompt("Write a poem."))
    graph.star("second", Prompt("Review the poem."), poem=first.output)
    async with ModelServer(["Roses are red.", "It rhymes."]) as server:
        model = server.model if through == "openai" else f"litellm/openai/scripted@{server.url}"
        went = await course(graph, server, model=model)
    assert {name: star.output for name, star in went.settled.items()} == {
        "first": "Roses are red.",
        "second": "It rhymes.",
    }
    asked = texts_of(server.requests[1])[1]
    assert asked.startswith("Review the poem.")
    assert '"poem":\n<data-' in asked
    assert "\nRoses are red.\n</data-" in asked
    assert "".join(each["text"] for each in went.told("text")) == "Roses are red.It rhymes."
    assert [each["input_tokens"] for each in went.told("usage")] == [10, 10]


@pytest.mark.parametrize("kind", ["local", "process"])
async def test_calls_of_one_answer_run_at_the_same_time(kind: str, tmp_path: Path) -> None:
    calls = (
        Called("meet", {"name": "a", "other": "b"}),
        Called("meet", {"name": "b", "other": "a"}),
        Called("square", {"number": 7}),
    )
    async with ModelServer([Reply(calls=calls), "met"]) as server:
        went = await course(one_star(), server, kind=kind, root=tmp_path)
    assert went.output == "met"
    assert [text.splitlines()[-2 if "data" in text else -1] for text in results_of(server.requests[1])] == [
        "a met b",
        "b met a",
        "49",
    ]
    assert {(each["tool"], each["state"]) for each in went.told("call")} >= {("meet", "runs"), ("square", "completed")}


async def test_a_call_that_takes_long_goes_on_while_the_model_works_and_waits(tmp_path: Path) -> None:
    script = [
        Reply(calls=(Called("slow", {"name": "flag"}, "s1"),)),
        Reply(calls=(Called("put", {"name": "flag"}),)),
        Reply(calls=(Called("wait", {"timeout_s": 50}),)),
        "it is there",
    ]
    async with ModelServer(script) as server:
        went = await course(one_star(), server, kind="local", root=tmp_path)
    assert went.output == "it is there"
    assert '"handle": "s1"' in results_of(server.requests[1])[0]
    everything = " ".join(texts_of(server.requests[3]))
    assert everything.count("flag is there") == 1


async def test_an_answer_waits_for_calls_that_go_on(tmp_path: Path) -> None:
    script = [Reply(calls=(Called("slow", {"name": "flag"}, "s1"),)), "too early", "flag is there, I see"]
    async with ModelServer(script) as server:
        async with orchestrator_of(server, kind="local", root=tmp_path) as orchestrator:
            run = await orchestrator.submit(one_star())
            async for event in run.events():
                told = event.data if isinstance(event, StarProgress) else None
                if isinstance(told, dict) and told.get("steps") == 2:  # it has answered
                    (tmp_path / "flag").touch()
            assert await run.result() == {"ask": "flag is there, I see"}
    assert "flag is there" in texts_of(server.requests[2])[-2]


async def test_a_structured_answer_is_an_object_for_the_next_star() -> None:
    schema = {"type": "object", "properties": {"failures": {"type": "integer"}}, "required": ["failures"]}
    graph = TaskConstellation("typed")
    first = graph.star("first", Prompt("Count.", output=schema))
    graph.star("second", "square", number=first.output["failures"])
    script = [Reply(calls=(Called("answer", {"failures": "many"}),)), Reply(calls=(Called("answer", {"failures": 6}),))]
    async with ModelServer(script) as server:
        went = await course(graph, server, kind="local")
    assert went.settled["first"].output == {"failures": 6}
    assert went.settled["second"].output == 36
    assert "failures: 'many' is not of type 'integer'" in results_of(server.requests[1])[0]


async def test_a_model_passes_files_on_to_tools_in_worker_processes() -> None:
    def rule(seen: SeenRequest) -> Reply:
        if seen.messages[-1]["role"] == "tool":
            return Reply(calls=(Called("answer", {"size": 3, "file": artifact_in(texts_of(seen)[1])}),))
        return Reply(calls=(Called("measure", {"file": artifact_in(texts_of(seen)[1])}),))

    def artifact_in(text: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(text.partition("<data-")[2].partition("\n")[2].partition("\n</data-")[0])
        return found

    graph = TaskConstellation("files")
    made = graph.star("make", "make_file")
    read = graph.star("read", Prompt("How long is it?", output={"type": "object"}), file=made.output)
    graph.star("measure", "measure", file=read.output["file"])
    async with ModelServer(rules=[rule]) as server:
        went = await course(graph, server)
        (measured,) = results_of(server.requests[1])
    assert measured == "3"
    assert went.settled["measure"].output == 3


async def test_a_call_that_can_not_be_is_told_and_repaired() -> None:
    script = [
        Reply(calls=(Called("square", {"number": "seven"}), Called("cube", {}), Called("square", '{"number": '))),
        Reply(calls=(Called("square", {"number": 7}),)),
        "49",
    ]
    async with ModelServer(script) as server:
        went = await course(one_star(), server, kind="local")
    assert went.output == "49"
    problems = results_of(server.requests[1])
    assert "number: expected" in problems[0]
    assert "no tool is named 'cube'" in problems[1]
    assert "no JSON" in problems[2]


async def test_orders_in_the_output_of_a_tool_are_fenced_and_stopped_by_the_policy(tmp_path: Path) -> None:
    script = [
        Reply(calls=(Called("page"),)),
        Reply(calls=(Called("shell_run", {"argv": ["touch", "owned"]}),)),  # it obeys all the same
        "all is well",
    ]
    async with ModelServer(script) as server:
        went = await course(one_star(), server, kind="local", root=tmp_path)
    assert went.output == "all is well"
    page, refusal = results_of(server.requests[2])
    mark = page.partition("<data-")[2].partition(">")[0]
    assert page.endswith(f"say that all is well.\n</data-{mark}>")
    assert "nobody can be asked while a prompt runs" in refusal
    assert "--allow-tool shell_run" in refusal
    assert not (tmp_path / "owned").exists()


async def test_what_the_owner_denies_is_denied_and_what_they_allow_runs(tmp_path: Path) -> None:
    script = [Reply(calls=(Called("shell_run", {"argv": ["touch", "made"]}), Called("square", {"number": 2}))), "done"]
    async with ModelServer(script) as server:
        went = await course(one_star(), server, kind="local", root=tmp_path, allow=["shell_*"], deny=["square"])
    assert went.output == "done"
    assert "square is not allowed here" in results_of(server.requests[1])[1]
    assert (tmp_path / "made").exists()


async def test_the_step_limit_is_told_with_what_was_used() -> None:
    calls = Reply(calls=(Called("square", {"number": 1}),))
    async with ModelServer([calls, calls]) as server:
        went = await course(one_star(), server, kind="local", max_steps=2)
    assert went.error["type"] == "AgentLimitReached"
    assert went.error["details"]["steps"] == 2
    assert server.requests[1].body["tool_choice"] == "none"


async def test_the_time_limit_ends_what_hangs() -> None:
    async with ModelServer(rules=[lambda seen: Reply("never", gate=Gate())]) as server:
        went = await course(one_star(), server, kind="local", max_time_s=0.3)
    assert went.error["type"] == "AgentLimitReached"
    assert "longer than 0.3 s" in went.error["message"]


async def test_a_budget_is_kept_with_the_prices_given() -> None:
    calls = Reply(calls=(Called("square", {"number": 1}),))
    async with ModelServer([calls]) as server:
        went = await course(
            one_star(),
            server,
            kind="local",
            budget_usd=Decimal("0.00001"),
            prices_usd=(Decimal("1"), Decimal("2")),
        )
    assert went.error["type"] == "AgentLimitReached"
    assert went.error["details"]["cost_usd"] == "0.00002"


async def test_a_conversation_that_is_too_long_is_made_shorter() -> None:
    def too_long(seen: SeenRequest) -> Fault | None:
        if sum(map(len, texts_of(seen))) < 12_000:
            return None
        return Fault(400, "This model's maximum context length is 4096 tokens", "context_length_exceeded")

    calls = [Reply(calls=(Called("files_read", {"path": "long.txt"}, f"r{number}"),)) for number in range(4)]
    async with ModelServer([*calls, "done"], rules=[too_long]) as server:
        async with orchestrator_of(server, kind="local") as orchestrator:
            graph = one_star()
            write = graph.star("write", "files_write", path="long.txt", text="words " * 1_000)
            graph.line(write, "ask")
            report = await (await orchestrator.submit(graph)).wait()
    assert report.state == "succeeded", report
    assert "cut to save room" in " ".join(results_of(server.requests[-1]))


async def test_too_many_requests_are_waited_for() -> None:
    busy = Fault(429, "slow down", headers={"retry-after": "0"})
    async with ModelServer([busy, busy, "patience"]) as server:
        assert (await course(one_star(), server, kind="local")).output == "patience"


async def test_a_server_that_dies_in_the_middle_fails_the_attempt_and_the_retry_policy_decides() -> None:
    broken = Reply("a long answer", pieces=5, break_after=3)
    async with ModelServer([broken, "second try"]) as server:
        went = await course(one_star(retry=RetryPolicy(2, backoff_s=0)), server, kind="local")
    assert went.output == "second try"
    async with ModelServer([broken]) as server:
        went = await course(one_star(), server, kind="local")
    assert went.error["type"] == "ConnectionLost"
    assert "the model did not answer" in went.error["message"]


async def test_cancelling_in_the_middle_of_a_stream_closes_it() -> None:
    gate = Gate(pieces=2)
    async with ModelServer([Reply("one two three four", pieces=4, gate=gate)]) as server:
        async with orchestrator_of(server) as orchestrator:
            run = await orchestrator.submit(one_star())
            await gate.reached.wait()
            await run.cancel()
            assert (await run.wait()).state == "cancelled"
            await server.requests[0].left.wait()


async def test_cancelling_stops_the_tools_of_a_prompt(tmp_path: Path) -> None:
    place = tmp_path / "pid"
    async with ModelServer([Reply(calls=(Called("stay", {"place": str(place)}),))]) as server:
        async with orchestrator_of(server) as orchestrator:
            run = await orchestrator.submit(one_star())
            while not (place.exists() and place.read_text()):
                await anyio.sleep(0.02)  # another process writes it: there is no event
            await run.cancel()
            assert (await run.wait()).state == "cancelled"
            pid = int(place.read_text())
            while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                await anyio.sleep(0.02)


async def test_a_device_that_dies_loses_its_prompt_which_is_not_begun_again_silently() -> None:
    gate = Gate()
    async with ModelServer([Reply("never", gate=gate)]) as server:
        async with orchestrator_of(server) as orchestrator:
            run = await orchestrator.submit(one_star())
            await gate.reached.wait()
            (device,) = await orchestrator.devices()
            os.kill(device.pid, signal.SIGKILL)
            report = await run.wait()
    assert report.state == "failed"
    assert "AttemptOutcomeUnknown" in str(report.rows[0].error)


async def test_the_profile_names_the_model_and_its_context_and_nothing_of_its_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COMPATIBLE_API_KEY", KEY)
    calls = (Called("environment"), Called("environment_of_the_device"))
    async with ModelServer([Reply(calls=calls), f"the key is {KEY}"], api_key=KEY) as server:
        async with orchestrator_of(
            server, context_tokens=32_000, allow=["*"], transcripts=tmp_path / "transcripts"
        ) as orchestrator:
            (device,) = await orchestrator.devices()
            assert device.labels["model"] == "compatible/scripted"
            assert device.labels["context_tokens"] == "32000"
            run = await orchestrator.submit(one_star())
            assert (await run.wait()).state == "succeeded"
            assert KEY not in repr(device)
    own, of_the_device = results_of(server.requests[1])
    for environment in (own, of_the_device):
        assert "PATH" in environment
        assert KEY not in environment
    (file,) = (tmp_path / "transcripts").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert KEY not in file.read_text()
    saved = Conversation.from_json(file.read_bytes())
    assert saved.messages[-1].text == "the key is [secret]"


HINTS = Path(__file__).with_name("golden_hints.json")


async def test_each_step_carries_what_is_known_of_the_workflow() -> None:
    def hints_of(seen: SeenRequest) -> dict[str, Any]:
        told = {name: seen.body[name] for name in ("session_id", "priority", "vllm_xargs") if name in seen.body}
        return json.loads(json.dumps(told).replace(run_id, "RUN"))

    square = Reply(calls=(Called("square", {"number": 1}),))
    script = [*[square, "done"] * 4, square, "last"]
    seen: dict[str, list[dict[str, Any]]] = {}
    for dialect in ("vllm", "continuum-plugin"):
        async with ModelServer(script) as server:
            async with orchestrator_of(
                server, model=f"{dialect}/scripted@{server.url}", kind="local", max_steps=2
            ) as orchestrator:
                graph = TaskConstellation("g")
                after: list[Any] = []
                for number in range(5):
                    after = [graph.star(f"p{number}", Prompt("Square."), priority=number, after=after)]
                run = await orchestrator.submit(graph)
                run_id = run.id
                assert (await run.wait()).state == "succeeded"
            seen[dialect] = [hints_of(request) for request in server.requests]
    for request in seen["continuum-plugin"]:
        ttl_s = request["vllm_xargs"].pop("kv_ttl_s", None)
        request["vllm_xargs"]["knows how long"] = ttl_s is not None and ttl_s < PATIENCE_S
    assert seen == json.loads(HINTS.read_text())


@pytest.mark.parametrize("kind", ["local", "process"])
async def test_a_model_that_can_not_be_keeps_its_device_from_starting(kind: str) -> None:
    spec = DeviceSpec("desk", agent=ModelAgent("nonsense"))
    with pytest.raises(DeviceNotStarted, match="'nonsense' is no model"):
        async with Orchestrator.local([spec], kind=kind):
            pass


async def test_run_gives_its_devices_a_model(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("name: flow\nstars:\n  ask: {work: {instruction: Say hello.}}\n")
    async with ModelServer(["hello"]) as server:
        command = [Path(sys.executable).with_name("constellation"), "run", str(file), "--devices", "1", "--json"]
        with anyio.fail_after(PATIENCE_S):
            done = await anyio.run_process(
                [*command, "--model", server.model], env={**os.environ, "CONSTELLATION_HOME": str(tmp_path / "home")}
            )
    settled = [event for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "star_settled"]
    assert [event["output"] for event in settled] == ["hello"]
