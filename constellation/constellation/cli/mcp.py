"""`constellation mcp`: serve a hub over MCP, so that assistants can submit workflows, watch them and get results."""

from __future__ import annotations

from typing import Annotated

import typer

from .errors import BadInput
from .mcp_serving import BearerFile, HostName, Http, Stdio, TlsCert, TlsKey, serve, where_to_listen
from .options import PORT, TokenFile, checked_hub, hub_tls, hub_token


def mcp(
    hub: Annotated[
        str, typer.Option(help="The hub's URL, as `constellation serve` prints it.", metavar="URL")
    ] = f"ws://127.0.0.1:{PORT}",
    token_file: TokenFile = None,
    stdio: Stdio = False,
    http: Http = None,
    bearer_file: BearerFile = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    host_name: HostName = None,
) -> int:
    """Serve a hub over MCP: clients list devices, check, submit, watch and cancel workflows, and get results."""
    import anyio

    from .hub_tools import INSTRUCTIONS, HubTools, hub_toolset

    listening = where_to_listen(stdio, http, bearer_file, tls_cert, tls_key, host_name)
    if listening is not None and not listening.token:
        raise BadInput("who reaches this server may do all that the hub's token allows: give --bearer-file FILE")
    url = checked_hub(hub)
    tools = HubTools(url, hub_token(token_file), hub_tls(url))

    async def reach() -> None:
        async with tools.connected():
            pass

    anyio.run(reach)  # what is wrong with the hub or its token is better told now than at the first call
    return serve(hub_toolset(tools), listening, name="constellation-hub", instructions=INSTRUCTIONS)
