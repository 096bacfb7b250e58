"""What all tests share: the event loop, how long properties are tried, missing programs, and processes left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from constellation.testing.postgres import PostgresServer

NODE_MODULES = Path(__file__).parent / "tools" / "mcp" / "node" / "node_modules"

ON_CI = os.environ.get("CI", "") not in ("", "0", "false")

# A slow machine must not fail a property; on CI the examples are the same every time.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if ON_CI else "dev"))

LEFT_BEHIND_S = 5.0
"""How long a child process that a test has told to stop may take to be gone."""

_PYTHONS_OWN = "multiprocessing.resource_tracker"


def pytest_configure(config: pytest.Config) -> None:
    """Announce the markers for tests that need something that may be missing, and see that interrupts are heeded.

    What a shell starts in the background ignores them, as would all that the tests start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "requires(program, ...): needs these programs; skipped where one is missing, and failed on CI"
    )
    config.addinivalue_line(
        "markers", "requires_node: needs Node.js and what `make node` installs; skipped and failed in the same way"
    )
    config.addinivalue_line(
        "markers", "requires_module(module, ...): needs these Python modules; skipped and failed in the same way"
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs what is missing; on CI, where nothing may be missing, fail it."""
    for marker in item.iter_markers("requires"):
        for program in marker.args:
            if shutil.which(program) is None:
                _miss(f"the program {program!r}")
    if item.get_closest_marker("requires_node") and not (shutil.which("node") and NODE_MODULES.is_dir()):
        _miss("Node.js and what `make node` installs")
    for marker in item.iter_markers("requires_module"):
        for module in marker.args:
            if find_spec(module) is None:
                _miss(f"the module {module!r}")


def _miss(what: str) -> None:
    if ON_CI:
        pytest.fail(f"needs {what}, which CI has to have", pytrace=False)
    pytest.skip(f"needs {what}; install it to run this test")


@pytest.fixture
def anyio_backend() -> str:
    """Tests run on asyncio; those that are to run on trio as well parametrise this."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_process_left_behind() -> Iterator[None]:
    """Fail a test that leaves a child process running, and end that process."""
    before = set(psutil.Process().children(recursive=True))
    yield
    _, alive = psutil.wait_procs(set(psutil.Process().children(recursive=True)) - before, timeout=LEFT_BEHIND_S)
    left = [process for process in alive if not _is_pythons_own(process)]
    told = [f"{process.pid}: {_command(process)}" for process in left]
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=LEFT_BEHIND_S)
    assert not told, f"processes are left behind: {told}"


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return "(gone)"


def _is_pythons_own(process: psutil.Process) -> bool:
    return _PYTHONS_OWN in _command(process)


@pytest.fixture(scope="session")
def node_program() -> Callable[[str], list[str]]:
    """The command of a program that `make node` has installed; for tests that are marked with `requires_node`."""
    return lambda name: ["node", str((NODE_MODULES / ".bin" / name).resolve())]


@pytest.fixture(scope="module")
def everything_url(node_program: Callable[[str], list[str]]) -> Iterator[str]:
    """The URL of the MCP server `everything`, which takes its port from the environment and says when it listens."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    command = [*node_program("mcp-server-everything"), "streamableHttp"]
    environment = {**os.environ, "PORT": str(port)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            assert any(str(port) in line for line in process.stderr)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the tests' own, for as long as they run."""
    from constellation.testing.postgres import PostgresServer

    if find_spec("psycopg") is None:
        _miss("the module 'psycopg'")
    if not PostgresServer.installed():
        _miss("a PostgreSQL server (initdb and pg_ctl)")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of a database's schema that is new for this test."""
    return postgres_server.new_url()
