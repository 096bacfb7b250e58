"""`constellation serve` and `constellation devices`: be a hub, and ask one for its devices."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import BadInput
from .options import (
    PORT,
    TOKEN_FILE,
    TOKEN_VARIABLE,
    AsJson,
    Journal,
    TokenFile,
    checked_hub,
    hub_tls,
    hub_token,
    read_token,
)
from .secret_files import write_secret
from .stopping import run_until_stopped

if TYPE_CHECKING:
    from ssl import SSLContext

    from ..orchestrator.devices import DeviceInfo

LOOPBACK_NAME = "localhost"


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen on; beyond this machine it takes TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = PORT,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help=f"File that holds the token that devices and clients show; made when there is none. Else "
            f"{TOKEN_VARIABLE}, else a file of the user's own.",
            metavar="FILE",
        ),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="The certificate, PEM, with its chain.", metavar="FILE")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's private key, PEM.", metavar="FILE")] = None,
    tls_client_ca: Annotated[
        Path | None,
        typer.Option(help="Authorities, PEM: whoever dials has to show a certificate of theirs.", metavar="FILE"),
    ] = None,
    journal: Journal = None,
    journal_patience: Annotated[
        float,
        typer.Option(
            min=0, help="How long runs wait while a journal's server is away; then the hub ends.", metavar="SECONDS"
        ),
    ] = 120.0,
) -> int:
    """Be a hub: devices dial in and offer what they can do, clients submit workflows."""
    import anyio

    from ..console.output import write_text
    from ..journal import default_home
    from ..orchestrator.orchestrator import Orchestrator
    from ..orchestrator.token_store import TOKENS_FILE

    tls = _tls(tls_cert, tls_key, tls_client_ca)
    if tls is None and not is_loopback(host):
        raise BadInput(
            f"--host {host} would show the token to the network: give --tls-cert and --tls-key, or listen on 127.0.0.1 "
            "and let others in through a tunnel"
        )
    token, place = hub_secret(token_file)
    tokens = default_home() / TOKENS_FILE

    async def body() -> int:
        async with Orchestrator.serve(
            host, port, token=token, tokens=tokens, journal=journal, journal_patience_s=journal_patience, ssl=tls
        ) as orchestrator:
            at = f"--token-file {place}" if place is not None else ""
            write_text(f"hub at {orchestrator.url}")
            write_text(f"token in {place or TOKEN_VARIABLE}")
            url = url_for_others(orchestrator.url)
            write_text(f"devices join with: constellation device --url {url} {at}".rstrip())
            write_text(f"workflows run with: constellation run FILE --hub {url} {at}".rstrip())
            await anyio.sleep_forever()
        return 0  # not reached: a hub is stopped by a signal

    return run_until_stopped(body)


def devices(
    hub: Annotated[
        str, typer.Option(help="The hub's URL, as `constellation serve` prints it.", metavar="URL")
    ] = f"ws://127.0.0.1:{PORT}",
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> int:
    """List the devices that are connected to a hub."""
    from ..console.output import write_text
    from ..orchestrator.orchestrator import Orchestrator

    url, token = checked_hub(hub), hub_token(token_file)

    async def body() -> int:
        async with Orchestrator.connect(url, token, ssl=hub_tls(url)) as orchestrator:
            found = await orchestrator.devices()
        lines = [json.dumps(dataclasses.asdict(info), default=str) for info in found] if as_json else _table(found)
        for text in lines:
            write_text(text)
        return 0

    return run_until_stopped(body)


def is_loopback(host: str) -> bool:
    """Whether an address reaches no further than this machine."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == LOOPBACK_NAME


def url_for_others(url: str) -> str:
    """Where other machines reach a hub: one that listens on all addresses is reached by this machine's name."""
    import socket

    for everywhere in ("//0.0.0.0:", "//[::]:"):
        url = url.replace(everywhere, f"//{socket.gethostname()}:", 1)
    return url


def _table(found: list[DeviceInfo]) -> list[str]:
    from ..console.table import aligned

    rows = [
        (info.name, info.state, f"{info.busy}/{info.slots}", info.os, _pairs(info.labels), f"{len(info.tools)} tools")
        for info in found
    ]
    head = ("DEVICE", "STATE", "BUSY", "OS", "LABELS", "OFFERS")
    return aligned(head, rows) if rows else ["no device is connected"]


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> SSLContext | None:
    from constellation_protocol.tls import server_tls

    if cert is not None and key is not None:
        return server_tls(cert, key, client_ca=client_ca)
    if cert is not None or key is not None:
        raise BadInput("--tls-cert and --tls-key go together: give both")
    if client_ca is not None:
        raise BadInput("--tls-client-ca goes with --tls-cert and --tls-key")
    return None


def hub_secret(token_file: Path | None) -> tuple[str, Path | None]:
    """The hub's token, and the file that it is in: read when it is there, else made for its owner's eyes only."""
    from ..journal import default_home

    given = read_token(token_file) if token_file is None or token_file.exists() else None
    if given is not None:
        return given, token_file
    if token_file is None:
        token_file = default_home() / TOKEN_FILE
        token_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if token_file.exists():
            return read_token(token_file) or "", token_file
    token = secrets.token_urlsafe(32)
    write_secret(token_file, token)
    return token, token_file
