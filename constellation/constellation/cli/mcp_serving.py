"""What the commands share that serve tools over MCP: their options, and carrying them out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .calling import leave_threads_behind
from .errors import BadInput
from .options import read_token
from .stopping import run_until_stopped

if TYPE_CHECKING:
    from constellation_tools import Toolset
    from constellation_tools.mcp.serving import Listening
    from constellation_tools.runner import Policy

BEARER_FILE = "--bearer-file"

Stdio = Annotated[
    bool, typer.Option("--stdio", help="Over standard input and output, to the program that starts this; the default.")
]
Http = Annotated[
    str | None, typer.Option(help="Over streamable HTTP at this address; port 0 is any free one.", metavar="HOST:PORT")
]
BearerFile = Annotated[
    Path | None, typer.Option(BEARER_FILE, help="File that holds the token which HTTP clients show.", metavar="FILE")
]
TlsCert = Annotated[Path | None, typer.Option(help="The certificate, PEM, with its chain.", metavar="FILE")]
TlsKey = Annotated[Path | None, typer.Option(help="The certificate's private key, PEM.", metavar="FILE")]
HostName = Annotated[
    list[str] | None,
    typer.Option(help="What clients may call this host besides its address; may be repeated.", metavar="NAME"),
]


PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="File that says which calls are allowed, asked for or denied, JSON.", metavar="FILE"),
]


def read_policy(path: Path | None) -> Policy | None:
    """The policy in a file; None without one.

    Raises:
        BadInput: it can't be read.
        InvalidDocument: it is none.
    """
    if path is None:
        return None
    from constellation_tools.runner import Policy

    try:
        return Policy.from_json(path.read_bytes())
    except OSError as error:
        raise BadInput(f"--policy {path} can't be read: {error.strerror}") from error


def where_to_listen(
    stdio: bool,
    http: str | None,
    bearer_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    host_names: Sequence[str] | None,
) -> Listening | None:
    """Where options say that a server listens; None for standard input and output.

    Raises:
        BadInput: they make no sense together.
        BadListening: the server would be open to whom it must not be.
    """
    if http is None:
        given = {BEARER_FILE: bearer_file, "--tls-cert": tls_cert, "--tls-key": tls_key, "--host-name": host_names}
        idle = [option for option, value in given.items() if value]
        if idle:
            raise BadInput(f"{', '.join(idle)} can only go with --http HOST:PORT")
        return None
    if stdio:
        raise BadInput("--stdio and --http are two ways to serve: give one of them")
    from constellation_tools.mcp.serving import Listening

    host, port = _address(http)
    token = "" if bearer_file is None else read_token(bearer_file, option=BEARER_FILE) or ""
    return Listening(
        host=host, port=port, token=token, tls_cert=tls_cert, tls_key=tls_key, host_names=tuple(host_names or ())
    )


def serve(
    toolset: Toolset,
    listening: Listening | None,
    *,
    name: str,
    instructions: str = "",
    policy: Policy | None = None,
) -> int:
    """Serve a toolset until standard input ends or the command is stopped; returns the exit code."""
    from constellation_tools.mcp.serving import serve_http, serve_stdio

    from ..console.output import write_text

    def ready(url: str) -> None:
        write_text(f"{len(toolset)} tools at {url}")

    async def body() -> int:
        if listening is None:
            if sys.stdin.isatty():
                write_text(f"{len(toolset)} tools over standard input and output, for an MCP client", sys.stderr)
            await serve_stdio(toolset, name=name, instructions=instructions, policy=policy)
        else:
            await serve_http(toolset, listening, name=name, instructions=instructions, policy=policy, ready=ready)
        return 0

    code = run_until_stopped(body)
    leave_threads_behind(code)
    return code


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BadInput(f"--http {text!r} is no address: give HOST:PORT, such as 127.0.0.1:8765")
    return host, int(port)
