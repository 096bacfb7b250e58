"""What is said of an MCP server: how it is started or reached, what its tools are called, and how much it may do.

In a file, servers stand in the form that most programs which use MCP read:

    {"mcpServers": {"files": {"command": "npx", "args": ["-y", "..."], "env": {"KEY": "..."}},
                    "search": {"url": "https://example.org/mcp", "headers": {"Authorization": "Bearer ..."}}}}
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import BadMcpServer

_NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_-]{0,32}")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f]")

MAX_CONFIG_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class McpLimits:
    """How much one server may do.

    Attributes:
        start_s: How long it may take to start and introduce itself, in seconds; the first `npx` installs a package.
        call_s: How long one call may take, in seconds.
        away_s: How long a call waits for a server that is being started again or can't be reached, in seconds.
        message_bytes: The longest message that is taken from it.
        tools: How many tools and pages of lists are taken from it.
        schema_bytes: The longest schema of one tool.
        list_bytes: How much may be said of all tools together; those beyond it are left out.
        description_chars: How much of each description is kept.
        parallel: How many calls it is given at once; others wait.
    """

    start_s: float = 60.0
    call_s: float = 300.0
    away_s: float = 30.0
    message_bytes: int = 16 * 1024 * 1024
    tools: int = 512
    schema_bytes: int = 128 * 1024
    list_bytes: int = 2 * 1024 * 1024
    description_chars: int = 8192
    parallel: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """A server: a command to start, or a URL to reach.

    Attributes:
        name: What people call it, `[A-Za-z0-9_-]`, at most 32 characters; may be empty.
        command: The program and its arguments; it speaks over its standard input and output.
        url: Where it is reached over streamable HTTP instead.
        env: Variables for the program, besides the few that programs need.
        cwd: The directory that the program starts in.
        headers: Sent with every request to the URL.
        prefix: What the names of its tools begin with; the name and an underscore when None.
        idempotent: Names or patterns of its tools, as it calls them, that may be called again when a call is lost.
        trust_annotations: Whether to believe that a tool is idempotent, only reads, or destroys nothing.
        resources: Whether its resources are offered through two tools, `list_resources` and `read_resource`.
        limits: How much it may do.
    """

    name: str = ""
    command: Sequence[str] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    prefix: str | None = None
    idempotent: Sequence[str] = ()
    trust_annotations: bool = False
    resources: bool = True
    limits: McpLimits = McpLimits()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadMcpServer(
                f"{self.name[:80]!r} can't be an MCP server's name: give at most 32 letters, digits, '_' or '-'"
            )
        if self.prefix is not None and not _NAME.fullmatch(self.prefix):
            raise BadMcpServer(f"{self.prefix[:80]!r} can't begin the names of tools: give letters, digits, '_' or '-'")
        if bool(self.command) == bool(self.url):
            raise BadMcpServer(f"the MCP server {self.label} needs either a command or a URL")
        if self.url:
            self._check_url()

    @property
    def label(self) -> str:
        """What messages call it: its name, else its program or address, and never what may be secret."""
        if self.name:
            return repr(self.name)
        if self.command:
            return repr(Path(self.command[0]).name)
        try:
            return repr(urlsplit(self.url).netloc.rpartition("@")[2] or self.url[:80])
        except ValueError:
            return repr(self.url[:80])

    @property
    def tool_prefix(self) -> str:
        """What the names of its tools begin with."""
        return self.prefix if self.prefix is not None else f"{self.name}_" if self.name else ""

    def may_repeat(self, tool: str) -> bool:
        """Whether a tool, by the server's own name for it, was said to be idempotent."""
        return any(fnmatchcase(tool, pattern) for pattern in self.idempotent)

    @classmethod
    def parse(cls, text: str, *, limits: McpLimits | None = None) -> McpServer:
        """Read `[NAME=]COMMAND ARGUMENTS` in a shell's quoting, or `[NAME=]URL`.

        Raises:
            BadMcpServer: it is neither.
        """
        named = _NAMED.fullmatch(text.strip())
        name, rest = (named[1], named[2]) if named else ("", text.strip())
        limits = limits or McpLimits()
        if rest.startswith(("http://", "https://")):
            return cls(name=name, url=rest, limits=limits)
        try:
            command = shlex.split(rest)
        except ValueError as error:
            raise BadMcpServer(f"the command of an MCP server can't be read: {error}: {rest[:200]!r}") from error
        if not command:
            raise BadMcpServer("an MCP server needs a command, such as 'npx -y PACKAGE', or an https:// URL")
        return cls(name=name, command=tuple(command), limits=limits)

    def _check_url(self) -> None:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or _HIDDEN.search(self.url):
            raise BadMcpServer(
                f"the MCP server {self.label} has no URL that can be used: it looks like https://host/mcp"
            )
        if parts.username is not None or parts.password is not None:
            raise BadMcpServer(f"the URL of the MCP server {self.label} holds a password: give it as a header instead")
        if self.headers and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise BadMcpServer(
                f"the headers of the MCP server {self.label} would go over a plain connection: use an https:// URL"
            )


class _Entry(BaseModel):
    """One server of a file; what other programs keep there besides is passed over."""

    model_config = ConfigDict(extra="ignore")

    command: str = ""
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    cwd: Path | None = None
    url: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    disabled: bool = False
    prefix: str | None = None
    idempotent: list[str] = Field(default_factory=list)
    trust_annotations: bool = Field(default=False, alias="trustAnnotations")
    resources: bool = True
    timeout_s: float | None = Field(default=None, gt=0, alias="timeoutS")


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    servers: dict[str, _Entry] = Field(alias="mcpServers")


def read_servers(path: Path) -> list[McpServer]:
    """Read the servers of a file; those that are marked as disabled are left out.

    Raises:
        BadMcpServer: it can't be read, or holds something else; the message names the place.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
        if len(text) > MAX_CONFIG_BYTES:
            raise BadMcpServer(f"{path} is longer than {MAX_CONFIG_BYTES} bytes")
        found = _File.model_validate(json.loads(text))
    except OSError as error:
        raise BadMcpServer(f"{path} can't be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise BadMcpServer(f"{path} is no list of MCP servers: {place}: {first['msg']}") from None
    except ValueError as error:
        raise BadMcpServer(f"{path} is not JSON: {error}") from None
    return [_server(name, entry) for name, entry in found.servers.items() if not entry.disabled]


def _server(name: str, entry: _Entry) -> McpServer:
    limits: dict[str, Any] = {} if entry.timeout_s is None else {"call_s": entry.timeout_s}
    return McpServer(
        name=name,
        command=(entry.command, *entry.args) if entry.command else (),
        url=entry.url,
        env=entry.env,
        cwd=entry.cwd,
        headers=entry.headers,
        prefix=entry.prefix,
        idempotent=tuple(entry.idempotent),
        trust_annotations=entry.trust_annotations,
        resources=entry.resources,
        limits=McpLimits(**limits),
    )
