"""`constellation serve` and `constellation devices`: be a hub, and ask one for its devices."""

from __future__ import annotations

import dataclasses
import json
import os
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
    hub_token,
    read_token,
)
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
    journal: Journal = None,
) -> int:
    """Be a hub: devices dial in and offer what they can do, clients submit workflows."""
    import anyio

    from ..console.output import write_text
    from ..orchestrator.orchestrator import Orchestrator

    tls = _tls(tls_cert, tls_key)
    if tls is None and not is_loopback(host):
        raise BadInput(
            f"--host {host} would show the token to the network: give --tls-cert and --tls-key, or listen on 127.0.0.1 "
            "and let others in through a tunnel"
        )
    token, place = hub_secret(token_file)

    async def body() -> int:
        async with Orchestrator.serve(host, port, token=token, journal=journal, ssl=tls) as orchestrator:
            at = f"--token-file {place}" if place is not None else ""
            write_text(f"hub at {orchestrator.url}")
            write_text(f"token in {place or TOKEN_VARIABLE}")
            write_text(f"devices join with: constellation device --url {orchestrator.url} {at}".rstrip())
            write_text(f"workflows run with: constellation run FILE --hub {orchestrator.url} {at}".rstrip())
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
        async with Orchestrator.connect(url, token) as orchestrator:
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


def _tls(cert: Path | None, key: Path | None) -> SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise BadInput("--tls-cert and --tls-key go together: give both")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise BadInput(f"--tls-cert {cert} with --tls-key {key} can't be used: {error}") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; decrypt it first")


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
    try:
        with open(os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token + "\n")
    except OSError as error:
        raise BadInput(f"the token can't be written to {token_file}: {error.strerror}") from error
    return token, token_file
