"""Servers that die, hang, flood, talk nonsense or change their minds: what calls then say, and what is left behind."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psutil
import pytest

from constellation_tools import ToolFailed, ToolTimeout
from constellation_tools.mcp import (
    McpCallLost,
    McpLimits,
    McpMisbehaved,
    McpServer,
    McpToolset,
    McpUnavailable,
)
from constellation_tools.mcp.backoff import Backoff

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires_module("mcp")]

PATIENCE_S = 100.0
QUICK = Backoff(first_s=0.01, most_s=0.1)

Raw = Callable[..., McpServer]
Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@asynccontextmanager
async def entered(server: McpServer, **options: Any) -> AsyncIterator[McpToolset]:
    with anyio.fail_after(PATIENCE_S):
        async with McpToolset(server, **{"backoff": QUICK, **options}) as toolset:
            yield toolset


# --- dying ------------------------------------------------------------------------------------------------------------


async def test_a_server_that_dies_in_a_call_fails_it_and_is_started_again(raw: Raw) -> None:
    async with entered(raw()) as tools:
        before = await tools.get("raw_pid").call({})
        with pytest.raises(McpCallLost, match="killed by SIGKILL; whether it had its effect is not known"):
            await tools.get("raw_die").call({})
        assert await tools.get("raw_pid").call({}) != before


async def test_calls_beside_the_one_in_which_it_dies_are_lost_as_well_and_none_hangs(raw: Raw) -> None:
    lost = []

    async def hang(tools: McpToolset) -> None:
        try:
            await tools.get("raw_hang").call({})
        except McpCallLost as error:
            lost.append(error)

    async with entered(raw()) as tools, anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(hang, tools)
        await anyio.wait_all_tasks_blocked()
        with suppress(McpCallLost):
            await tools.get("raw_die").call({})
    assert len(lost) == 5


@pytest.mark.parametrize(
    ("tool", "settings", "repeated"),
    [
        ("die", {"idempotent": ["die"]}, True),
        ("safe_die", {"trust_annotations": True}, True),
        ("safe_die", {}, False),
    ],
)
async def test_only_what_was_said_to_be_idempotent_is_called_again(
    raw: Raw, tmp_path: Path, tool: str, settings: dict[str, Any], repeated: bool
) -> None:
    async with entered(raw(**settings)) as tools:
        called = tools.get(f"raw_{tool}")
        assert called.idempotent is repeated
        assert called.effects.read_only is bool(settings.get("trust_annotations"))
        if repeated:
            assert await called.call({"mark": str(tmp_path / "mark")}) == "alive"
        else:
            with pytest.raises(McpCallLost):
                await called.call({"mark": str(tmp_path / "mark")})


async def test_what_dies_again_and_again_is_called_again_once(raw: Raw) -> None:
    async with entered(raw(idempotent=["*"])) as tools:
        with pytest.raises(McpCallLost):
            await tools.get("raw_die").call({})


async def test_a_server_that_stays_away_is_said_to_be_away_and_nothing_done(raw: Raw, tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(Path(raw().command[1]).read_text())
    server = McpServer(name="raw", command=(raw().command[0], str(program)), limits=McpLimits(away_s=3))
    async with entered(server) as tools:
        program.unlink()
        with pytest.raises(McpCallLost):
            await tools.get("raw_die").call({})
        with pytest.raises(McpUnavailable, match=r"exited with code 2.*nothing has been done"):
            await tools.get("raw_echo").call({})
        program.write_text(Path(raw().command[1]).read_text())
        await anyio.lowlevel.checkpoint()
        with anyio.fail_after(PATIENCE_S):
            while True:
                with suppress(McpUnavailable):
                    assert await tools.get("raw_echo").call({}) == "{}"
                    return


async def test_nothing_of_a_server_is_left_behind(raw: Raw, tmp_path: Path, until: Until) -> None:
    file = tmp_path / "pid"
    async with entered(raw("leaves-child", file)) as tools:
        pid = int(await tools.get("raw_pid").call({}))
        child = int(file.read_text())
        assert psutil.pid_exists(child)
    assert not psutil.pid_exists(pid)
    await until(lambda: not _lives(child))


async def test_a_server_is_gone_when_its_user_is_cancelled(raw: Raw) -> None:
    pids = []
    with anyio.CancelScope() as scope:
        async with McpToolset(raw()) as tools:
            pids.append(int(await tools.get("raw_pid").call({})))
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert not psutil.pid_exists(pids[0])


async def test_an_error_of_its_user_comes_through_as_it_is(raw: Raw) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with entered(raw()):
            raise KeyError("mine")


async def test_calls_after_the_end_say_so(raw: Raw) -> None:
    async with entered(raw()) as tools:
        echo = tools.get("raw_echo")
    with pytest.raises(McpUnavailable, match="the toolset is closed"):
        await echo.call({})


# --- hanging ----------------------------------------------------------------------------------------------------------


async def test_a_call_that_takes_too_long_ends_and_is_cancelled_at_the_server(
    raw: Raw, tmp_path: Path, until: Until
) -> None:
    told = tmp_path / "told"
    async with entered(raw("good", told, limits=McpLimits(call_s=0.3))) as tools:
        before = await tools.get("raw_pid").call({})
        with pytest.raises(ToolTimeout, match=r"0\.3 s"):
            await tools.get("raw_hang").call({})
        await until(told.exists)
        assert await tools.get("raw_pid").call({}) == before  # it answers: it may stay


async def test_a_server_that_answers_nothing_any_more_is_started_again(
    raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("constellation_tools.mcp.connection.PROBE_S", 0.3)
    async with entered(raw()) as tools:
        before = await tools.get("raw_pid").call({})
        with anyio.move_on_after(0.3):
            await tools.get("raw_hang").call({"deaf": True})
        with pytest.raises(McpCallLost, match="does not answer within"):
            await tools.get("raw_echo").call({})
        assert await tools.get("raw_pid").call({}) != before


async def test_a_server_that_never_starts_is_given_up(raw: Raw) -> None:
    with pytest.raises(McpUnavailable, match=r"did not say what it offers within 0\.5 s"):
        async with entered(raw("never-starts", limits=McpLimits(start_s=0.5))):
            pass


# --- talking too much, or nonsense ------------------------------------------------------------------------------------


async def test_greetings_and_noise_between_messages_are_passed_over(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    async with entered(raw("greets")) as tools:
        assert await tools.get("raw_noise").call({}) == "after the noise"
    assert "no message: Welcome to the raw server!" in caplog.text


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("chatters", "1000 lines in a row that are no messages"),
        ("endless-line", "a message of more than 1048576 bytes"),
        ("crashes-at-start", r"exited with code 1; its last words: no licence\[31m was found"),
        ("many-tools", "offers more than 512 tools"),
        ("endless-pages", "has no end|more than 512 tools"),
    ],
)
async def test_a_server_that_can_not_be_used_is_said_to_be_so_with_the_reason(raw: Raw, mode: str, reason: str) -> None:
    with pytest.raises((McpUnavailable, McpMisbehaved), match=reason):
        async with entered(raw(mode, limits=McpLimits(message_bytes=1024 * 1024))):
            pass


async def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(McpUnavailable, match="'no-such-server' can't be started: there is no 'no-such-server'"):
        async with entered(McpServer.parse("no-such-server --stdio")):
            pass


async def test_a_flood_on_standard_error_blocks_nobody(raw: Raw) -> None:
    async with entered(raw("flood-stderr")) as tools:
        assert await tools.get("raw_echo").call({"a": 1}) == '{"a": 1}'


async def test_a_flood_of_progress_and_of_changes_is_lived_through(raw: Raw, reports: Any) -> None:
    async with entered(raw()) as tools:
        assert await tools.get("raw_flood").call({}, reports.context) == "flooded"
        assert await tools.get("raw_echo").call({}) == "{}"
    assert 0 < len(reports.lines) <= 5_000


@pytest.mark.parametrize(
    "line",
    [
        '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"\\ud83d"}]}}',
        '{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"\xff"}]}}',
        '\xef\xbb\xbf{"jsonrpc":"2.0","id":ID,"result":null}',
        '{"jsonrpc":"2.0","id":ID,"error":{}}',
        '{"jsonrpc":"2.0","id":ID,"result":{"n":' + "9" * 5_000 + "}}",
        '{"jsonrpc":"2.0","id":ID,"result":' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}",
        '{"jsonrpc":"2.0","id":ID,"result":{"content":[}}',
    ],
    ids=["surrogate", "encoding", "mark", "error", "digits", "depth", "json"],
)
async def test_an_answer_that_can_not_be_read_ends_its_call_at_once_and_no_other(raw: Raw, line: str) -> None:
    async with entered(raw()) as tools:
        with anyio.fail_after(30), pytest.raises(McpMisbehaved, match="no message that can be read"):
            await tools.get("raw_garbled").call({"line": line})
        assert await tools.get("raw_echo").call({}) == "{}"


async def test_results_that_are_none_are_refused(raw: Raw) -> None:
    async with entered(raw("bad-result")) as tools:
        with pytest.raises(McpMisbehaved, match=r"'wrong'.*'many' is not of type 'integer'"):
            await tools.get("raw_wrong").call({})
        with pytest.raises(McpMisbehaved, match="its answer is none"):
            await tools.get("raw_nothing").call({})
        with pytest.raises(ToolFailed, match="no tool"):
            await tools._call("unheard-of", {}, _context())


# --- tools that are odd, or become others -----------------------------------------------------------------------------


async def test_tools_that_can_not_be_ours_are_left_out_and_the_others_offered(
    raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    async with entered(raw("odd-tools")) as tools:
        assert [name.removeprefix("raw_") for name in tools.names] == ["ok_name_x_3d48e2", "ok_name_x", "sly"]
        sly = tools.get("raw_sly")
        assert sly.description.startswith("Fine.[31mxxx")
        assert len(sly.description) < 8_300
    for name, reason in [
        ("None", "name: Field required"),
        ("far", "outside of itself"),
        ("bomb", "parts"),
        ("list", "object"),
        ("properties", "object"),
        ("property", "object"),
        ("required", "object"),
        ("deep", "nested"),
    ]:
        assert any(f"{name} " in line and reason in line for line in caplog.messages), name


async def test_tools_become_others_when_the_server_says_so(raw: Raw, tmp_path: Path) -> None:
    changed = anyio.Event()
    async with entered(raw("forgets-tools", tmp_path / "mark"), changed=lambda tools: changed.set()) as tools:
        die = tools.get("raw_die")
        await tools.get("raw_once").call({})
        await changed.wait()
        assert tools.names == ("raw_echo", "raw_new", "raw_files_read")
        assert await tools.get("raw_echo").call({}) == "{}"
        with pytest.raises(McpCallLost):  # who holds an old tool still calls what the server makes of it
            await die.call({})


async def test_a_server_that_comes_back_with_other_tools_is_believed(raw: Raw, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    changed = anyio.Event()
    async with entered(raw("forgets-tools", mark), changed=lambda tools: changed.set()) as tools:
        mark.touch()
        with pytest.raises(McpCallLost):
            await tools.get("raw_die").call({})
        await changed.wait()
        assert tools.names == ("raw_echo", "raw_new", "raw_files_read")


async def test_only_so_many_calls_are_made_at_once(raw: Raw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    async with entered(raw(limits=McpLimits(parallel=2))) as tools, anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(tools.get("raw_hang").call, {})
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.2) as scope:
            await tools.get("raw_echo").call({})
        assert scope.cancelled_caught
        group.cancel_scope.cancel()


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _context() -> Any:
    from constellation_tools import ToolContext

    return ToolContext()
