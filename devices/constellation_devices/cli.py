"""`constellation device`: run a device agent on this machine until it is told to stop.

Exit codes: 0 stopped as asked, drained, or nothing to do any more; 1 refused by the orchestrator; 2 bad input.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit, urlunsplit

import typer
from pydantic import TypeAdapter, ValidationError

from constellation_protocol import ProtocolError, Refused
from constellation_protocol.errors import BadTlsFiles
from constellation_protocol.kinds import DeviceSpec
from constellation_protocol.messages import Identifier
from constellation_tools.mcp import BadMcpServer, McpServer, read_servers

from .agent_options import (
    A2A,
    AllowTool,
    AskTool,
    Budget,
    ContextTokens,
    DenyTool,
    Instructions,
    MaxSteps,
    MaxTime,
    MaxTokens,
    Model,
    ModelPrices,
    Transcripts,
    agent_of,
)
from .errors import BadDeviceSetup, ResultsNotKept
from .secret_environment import TOKEN_VARIABLE, take_agent_key, take_token
from .showing import VisibleFormatter, visible, visible_lines

if TYPE_CHECKING:
    from ssl import SSLContext

_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)

THREAD_PATIENCE_S = 0.5
"""How long the command waits for threads of tools before it ends without them, in seconds."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def device(
    url: Annotated[
        list[str],
        typer.Option(
            help="The orchestrator's URL: wss://host:port, or ws:// on this machine; may be repeated for those that "
            "take over from it.",
        ),
    ],
    name: Annotated[str, typer.Option(help="The device's id; this machine's name when left out.")] = "",
    token_file: Annotated[
        Path | None, typer.Option(help=f"File that holds the token; else {TOKEN_VARIABLE} in the environment does.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Authorities, PEM, that the hub's certificate may come from; else the system's.")
    ] = None,
    cert: Annotated[Path | None, typer.Option(help="The certificate to show to the hub, PEM, with its chain.")] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's private key, PEM.")] = None,
    slots: Annotated[int, typer.Option(min=1, max=10_000, help="How many stars it runs at once.")] = 1,
    label: Annotated[list[str] | None, typer.Option(help="A label, KEY=VALUE; may be repeated.")] = None,
    resource: Annotated[list[str] | None, typer.Option(help="An amount, NAME=NUMBER; may be repeated.")] = None,
    tools: Annotated[
        list[str] | None, typer.Option(help="Tools to offer, module:attr or file.py:attr; may be repeated.")
    ] = None,
    mcp: Annotated[
        list[str] | None,
        typer.Option(
            help="An MCP server whose tools to offer, [NAME=]COMMAND or [NAME=]URL; the tools of one with a name begin "
            "with it. May be repeated.",
        ),
    ] = None,
    mcp_config: Annotated[
        Path | None, typer.Option(help='File with more of them, as {"mcpServers": {"NAME": {"command": ...}}}.')
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Directory that file, shell and python tools are confined to; else a fresh one.")
    ] = None,
    state_dir: Annotated[
        Path | None, typer.Option(help="Where results are kept until acknowledged; else temporary.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A host that http tools may reach; may be repeated.")
    ] = None,
    sandbox_network: Annotated[
        bool, typer.Option("--sandbox-network", help="Give shell and python tools the network in their sandbox.")
    ] = False,
    sandbox_readable: Annotated[
        list[Path] | None,
        typer.Option(help="A directory or file that they may read in it besides the root; may be repeated."),
    ] = None,
    linger: Annotated[
        float, typer.Option(min=0, help="Seconds to go on and try to reconnect without an orchestrator.")
    ] = 60.0,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that running work may take to finish when told to stop.")
    ] = 10.0,
    import_path: Annotated[
        list[str] | None, typer.Option(help="A further directory to import tools from; may be repeated.")
    ] = None,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    model: Model = None,
    a2a: A2A = None,
    instructions: Instructions = "",
    context_tokens: ContextTokens = None,
    max_steps: MaxSteps = 50,
    max_tokens: MaxTokens = None,
    max_time: MaxTime = None,
    budget: Budget = None,
    prices: ModelPrices = None,
    allow_tool: AllowTool = None,
    ask_tool: AskTool = None,
    deny_tool: DenyTool = None,
    transcripts: Transcripts = None,
) -> None:
    """Run a device agent on this machine until it is told to stop."""
    import anyio

    from .runtime import DeviceSettings, run_device

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.path.extend(path for path in import_path or () if path not in sys.path)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # a line for each request to an MCP server helps nobody
    threads = threading.enumerate()
    try:
        agent = agent_of(
            model,
            a2a,
            instructions=instructions,
            context_tokens=context_tokens,
            max_steps=max_steps,
            max_tokens=max_tokens,
            max_time_s=max_time,
            budget_usd=budget,
            prices_usd=prices,
            allow=tuple(allow_tool or ()),
            ask=tuple(ask_tool or ()),
            deny=tuple(deny_tool or ()),
            transcripts=transcripts,
        )
        settings = DeviceSettings(
            spec=DeviceSpec(
                name=_checked_name(name or socket.gethostname()),
                labels=_pairs("--label", label),
                resources={key: _amount(key, value) for key, value in _pairs("--resource", resource).items()},
                slots=slots,
                tools=tuple(tools or ()),
                root=root,
                state_dir=state_dir,
                allow_hosts=tuple(allow_host or ()),
                sandbox_network=sandbox_network,
                sandbox_readable=tuple(sandbox_readable or ()),
                agent=agent,
            ),
            urls=tuple(_checked_url(place) for place in url),
            token=_read_token(token_file),
            tls=_tls(url, ca, cert, key),
            linger_s=linger,
            grace_s=grace,
            mcp=_mcp_servers(mcp, mcp_config),
            agent_key=take_agent_key(agent),
        )
        code = 0
        with suppress(KeyboardInterrupt):
            anyio.run(lambda: run_device(settings, ready=lambda: _tell_ready(ready_fd)))
    except (BadDeviceSetup, BadTlsFiles, BadMcpServer) as error:
        code = _complain(str(error), 2)
    except (Refused, ProtocolError, ResultsNotKept) as error:
        code = _complain(visible(str(error)), 1)
    _leave(code, threads)


def _mcp_servers(given: Sequence[str] | None, config: Path | None) -> list[McpServer]:
    servers = [] if config is None else read_servers(config)
    return servers + [McpServer.parse(text) for text in given or ()]


def _tell_ready(ready_fd: int | None) -> None:
    if ready_fd is not None:
        os.write(ready_fd, b"ready\n")
        os.close(ready_fd)


def _complain(message: str, code: int) -> int:
    typer.echo(f"constellation device: {visible_lines(message)}", err=True)
    return code


def _leave(code: int, earlier: Collection[threading.Thread]) -> None:
    deadline = time.monotonic() + THREAD_PATIENCE_S
    for thread in threading.enumerate():
        if thread not in earlier and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                # A tool was abandoned in it. The process would stay until that returns, perhaps for ever.
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
    raise typer.Exit(code)


def _read_token(token_file: Path | None) -> str | None:
    from_environment = take_token()
    if token_file is None:
        return from_environment
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise BadDeviceSetup(f"--token-file {token_file} can't be read: {error}") from error
    if not token:
        raise BadDeviceSetup(f"--token-file {token_file} is empty")
    return token


def _checked_name(name: str) -> str:
    try:
        return _IDENTIFIER.validate_python(name)
    except ValidationError:
        raise BadDeviceSetup(
            f"{name!r} can't be a device's name: use letters, digits and . _ : / -, starting with a letter or digit"
        ) from None


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise BadDeviceSetup(f"--url {url!r} is no orchestrator's URL: it looks like wss://host:port")
    if parts.scheme == "ws" and parts.hostname not in _LOOPBACK:
        typer.echo(f"constellation device: warning: {url} is not encrypted; use wss:// outside this machine", err=True)
    return urlunsplit(parts if parts.path.strip("/") else parts._replace(path="/aip"))


def _tls(urls: Sequence[str], ca: Path | None, cert: Path | None, key: Path | None) -> SSLContext | None:
    if ca is None and cert is None and key is None:
        return None
    for url in urls:
        if urlsplit(url).scheme != "wss":
            raise BadDeviceSetup(f"--ca, --cert and --key go with a wss:// URL, and --url is {url}")
    from constellation_protocol.tls import client_tls

    return client_tls(ca=ca, cert=cert, key=key)


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs = {}
    for item in given or ():
        key, separator, value = item.partition("=")
        if not (key and separator):
            raise BadDeviceSetup(f"{option} {item!r} is not of the form KEY=VALUE")
        pairs[key] = value
    return pairs


def _amount(name: str, value: str) -> float:
    with suppress(ValueError):
        amount = float(value)
        if 0 <= amount < float("inf"):
            return amount
    raise BadDeviceSetup(f"--resource {name}={value} is no amount: give a number of at least 0")
