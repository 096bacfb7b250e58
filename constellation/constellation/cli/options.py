"""Options that several commands share, and the checks of what they name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from .errors import BadInput

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from ssl import SSLContext

    from ..orchestrator.client import RemoteOrchestrator

TOKEN_VARIABLE = "CONSTELLATION_TOKEN"

TLS_VARIABLES = ("CONSTELLATION_TLS_CA", "CONSTELLATION_TLS_CERT", "CONSTELLATION_TLS_KEY")
"""What names the authorities of a hub's certificate, and the certificate and key that a client shows."""

TOKEN_FILE = "hub-token"
"""The name of the file, in the directory of the user's state, that holds the token of the hub that the user serves."""

PORT = 7433
"""The port of a hub that nobody chose one for: a fixed one, so that devices find it again when it comes back."""

MAX_TOKEN_BYTES = 4096

DEVICES = 2
"""How many device processes `run` starts when nothing is said."""

MAX_DEVICES = 256
"""How many device processes one command starts at most; more belong on more machines."""

Hub = Annotated[str | None, typer.Option(help="A hub's URL, as `constellation serve` prints it.", metavar="URL")]
TokenFile = Annotated[
    Path | None, typer.Option(help=f"File that holds the hub's token; else {TOKEN_VARIABLE} does.", metavar="FILE")
]
Journal = Annotated[
    str | None,
    typer.Option(
        "--journal",
        "--store",
        help="The journal: a file, or the postgresql:// URL of a database; the user's own file when left out.",
        metavar="PATH",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one value on a line.")]
Report = Annotated[Path | None, typer.Option(help="Write a report in Markdown when the run ends.", metavar="FILE")]

Tools = Annotated[
    list[str] | None,
    typer.Option(help="Tools that devices offer, module:attr or file.py:attr; may be repeated.", metavar="REF"),
]


class Approve(StrEnum):
    """What becomes of approvals."""

    ASK = "ask"
    ALL = "all"
    NONE = "none"


Approvals = Annotated[
    Approve, typer.Option(help="Ask at the terminal (where there is none: refuse), approve all, or refuse all.")
]


def checked_hub(url: str) -> str:
    """A hub's URL, when it is one.

    Raises:
        BadInput: it is none.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadInput(
            f"--hub {url!r} is no hub's URL; `constellation serve` prints it, and it looks like wss://host:port"
        )
    return url


def check_choice(hub: str | None, token_file: Path | None, own: Mapping[str, object]) -> None:
    """Refuse options that would have no say in what was asked for.

    Args:
        hub: The hub, when the command is for one.
        token_file: Where its token is.
        own: The options that go without a hub only, with what was given for them.

    Raises:
        BadInput: one was given that has no say.
    """
    if hub is not None:
        given = [name for name, value in own.items() if value is not None]
        if given:
            raise BadInput(f"{', '.join(given)} can't go with --hub: the hub has devices and a journal of its own")
    elif token_file is not None:
        raise BadInput("--token-file goes with --hub: devices that are started here get tokens by themselves")


def read_token(token_file: Path | None, *, option: str = "--token-file") -> str | None:
    """The token in the file that an option names, else in the environment; None when there is neither.

    Raises:
        BadInput: the file can't be read, or holds no token.
    """
    if token_file is None:
        return os.environ.get(TOKEN_VARIABLE) or None
    try:
        with token_file.open("rb") as file:
            token = file.read(MAX_TOKEN_BYTES + 1).decode("ascii").strip()
    except OSError as error:
        raise BadInput(f"{option} {token_file} can't be read: {error.strerror}") from error
    except UnicodeDecodeError:
        token = ""
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isprintable():
        raise BadInput(f"{option} {token_file} holds no token: it should be one line of text and nothing else")
    return token


def hub_token(token_file: Path | None) -> str:
    """The token for a hub that is to be dialled; by default that of the hub that this user serves.

    Raises:
        BadInput: there is none.
    """
    from ..journal import default_home

    own = default_home() / TOKEN_FILE
    token = read_token(token_file)
    if token is None and own.exists():
        token = read_token(own)
    if token is None:
        raise BadInput(f"a hub wants its token: give --token-file FILE, or set {TOKEN_VARIABLE}")
    return token


def hub_tls(url: str) -> SSLContext | None:
    """The TLS settings for the hub at a URL that is to be dialled, where the environment names files for them.

    Raises:
        BadTlsFiles: they can't be used.
    """
    ca, cert, key = (Path(name) if (name := os.environ.get(variable)) else None for variable in TLS_VARIABLES)
    if not url.startswith("wss:") or (ca is None and cert is None and key is None):
        return None
    from constellation_protocol.tls import client_tls

    return client_tls(ca=ca, cert=cert, key=key)


def connected(hub: str, token_file: Path | None) -> AbstractAsyncContextManager[RemoteOrchestrator]:
    """A client of the hub that options name.

    Raises:
        BadInput, BadTlsFiles: they name none, or what it takes to reach it is missing.
    """
    from ..orchestrator.orchestrator import Orchestrator

    return Orchestrator.connect(checked_hub(hub), hub_token(token_file), ssl=hub_tls(hub))


def checked_report(path: Path | None) -> Path | None:
    """A report's path, once it is plain that a file can be there: not only when the run has ended.

    Raises:
        BadInput: it can't.
    """
    if path is not None and path.is_dir():
        raise BadInput(f"--report {path} is a directory; name a file in it")
    if path is not None and not path.absolute().parent.is_dir():
        raise BadInput(f"--report {path}: there is no directory {path.parent}; make it first")
    return path


def resume_options(hub: str | None, token_file: Path | None, journal: str | None, report: Path | None) -> Sequence[str]:
    """What has to stand on the command line of `constellation resume` besides the run, to go on as it began."""
    from ..journal import without_password

    given = (
        ("--hub", hub),
        ("--token-file", token_file),
        ("--journal", without_password(journal) if journal else None),
        ("--report", report),
    )
    return [text for name, value in given if value is not None for text in (name, str(value))]


def absolute_tools(references: Sequence[str]) -> tuple[str, ...]:
    """References to tools, those to Python files by absolute path: devices have working directories of their own."""
    return tuple(_absolute(reference) for reference in references)


def _absolute(reference: str) -> str:
    path, separator, attribute = reference.partition(".py:")
    if separator:
        return f"{os.path.abspath(path)}.py:{attribute}"
    return os.path.abspath(reference) if reference.endswith(".py") else reference
