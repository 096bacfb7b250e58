"""`constellation tools serve`: serve the tools of a module over MCP."""

from __future__ import annotations

from .mcp_serving import (
    BearerFile,
    HostName,
    Http,
    PolicyFile,
    Stdio,
    TlsCert,
    TlsKey,
    read_policy,
    serve,
    where_to_listen,
)
from .tools import TOOLS as TOOLS
from .tools import Module


@TOOLS.command("serve")
def serve_tools(
    module: Module,
    stdio: Stdio = False,
    http: Http = None,
    bearer_file: BearerFile = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    host_name: HostName = None,
    policy: PolicyFile = None,
) -> int:
    """Serve the tools of a module as an MCP server, until the client goes away or the command is stopped."""
    from constellation_tools import load_tools

    listening = where_to_listen(stdio, http, bearer_file, tls_cert, tls_key, host_name)
    return serve(load_tools(module), listening, name=module.rpartition("/")[2], policy=read_policy(policy))
