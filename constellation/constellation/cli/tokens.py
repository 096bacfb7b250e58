"""`constellation tokens`: make, list and revoke what single devices and clients show to a hub."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import BadInput
from .options import AsJson
from .secret_files import write_secret

if TYPE_CHECKING:
    from ..orchestrator.credentials import Credential
    from ..orchestrator.token_store import TokenStore

TOKENS = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Make, list and revoke the tokens of single devices and clients.",
)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

Name = Annotated[str, typer.Argument(help="The device's name, or what to call the client.")]


@TOKENS.callback()
def tokens() -> None:
    """Make, list and revoke the tokens of single devices and clients."""


@TOKENS.command()
def create(
    name: Name,
    role: Annotated[str, typer.Option(help="Whom it lets in: device or client.", metavar="ROLE")] = "device",
    allow_tool: Annotated[
        list[str] | None,
        typer.Option(help="A tool that the device may offer, or a pattern; any when left out.", metavar="GLOB"),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="A label that the device may claim, with a pattern of its value.", metavar="KEY=GLOB"),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="For how long it is good: 12h, 30d, 2w; for ever when left out.", metavar="TIME")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write it to a new file, for its owner alone, instead of showing it.")
    ] = None,
) -> int:
    """Make a token, which is shown this once: the hub keeps only a hash of it."""
    from ..console.output import write_text
    from ..orchestrator.credentials import Role, issue

    if role not in list(Role):
        raise BadInput(f"--role {role!r}: it is {' or '.join(Role)}")
    now = time.time()
    credential, token = issue(
        name,
        Role(role),
        now=now,
        expires_s=None if expires is None else duration_s(expires),
        tools=allow_tool or (),
        labels=_labels(label or ()),
    )
    if out is not None:
        write_secret(out, token)
    try:
        _store().add(credential, now=now)
    except BaseException:
        if out is not None:
            out.unlink()
        raise
    write_text(token if out is None else f"token of {role} {name!r} in {out}")
    return 0


@TOKENS.command("list")
def list_tokens(as_json: AsJson = False) -> int:
    """List the tokens that there are, by name; not what they are, which nobody knows."""
    from ..console.output import write_text

    found = sorted(_store().credentials().values(), key=lambda credential: credential.name)
    now = time.time()
    for text in [json.dumps(_row(item, now)) for item in found] if as_json else _table(found, now):
        write_text(text)
    return 0


@TOKENS.command()
def revoke(name: Name) -> int:
    """Make a token worthless; who was let in by it is sent away within a second."""
    from ..console.output import write_text

    gone = _store().remove(name)
    write_text(f"the token of {gone.role} {gone.name!r} is worth nothing any more")
    return 0


def duration_s(text: str) -> float:
    """Seconds of a duration such as `12h` or `30d`; raises BadInput."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhdw])", text)
    if match is None:
        raise BadInput(f"--expires {text!r} is no duration: give a number and s, m, h, d or w, such as 30d")
    return float(int(match[1]) * _SECONDS[match[2]])


def _labels(given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for item in given:
        key, separator, value = item.partition("=")
        if not (key and separator):
            raise BadInput(f"--label {item!r} is not of the form KEY=GLOB")
        pairs[key] = value
    return pairs


def _store() -> TokenStore:
    from ..journal import default_home
    from ..orchestrator.token_store import TOKENS_FILE, TokenStore

    return TokenStore(default_home() / TOKENS_FILE)


def _row(credential: Credential, now: float) -> Mapping[str, object]:
    return {
        **credential.model_dump(mode="json", include={"name", "role", "created_at", "expires_at", "tools", "labels"}),
        "expired": credential.expired(now),
    }


def _table(found: Sequence[Credential], now: float) -> list[str]:
    from ..console.table import aligned

    head = ("NAME", "ROLE", "MADE", "GOOD UNTIL", "TOOLS", "LABELS")
    rows = [
        (
            item.name,
            item.role.value,
            _day(item.created_at),
            "for ever" if item.expires_at is None else f"{_day(item.expires_at)}{' (over)' * item.expired(now)}",
            "any" if item.tools is None else ",".join(item.tools),
            "any" if item.labels is None else ",".join(f"{key}={value}" for key, value in item.labels.items()),
        )
        for item in found
    ]
    return aligned(head, rows) if rows else ["there are no tokens of single devices or clients"]


def _day(instant: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(instant))
