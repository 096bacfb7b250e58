"""Built-in toolkits, each a function that returns a Toolset: from files and programs to the network and databases.

What a toolkit may touch is fixed when it is made: a root directory, a list of hosts, limits. Its tools hold no
other state, but for the browser with its pages, and none of it is global.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..toolset import Toolset
from .archives import archives_tools
from .browser import browser_tools
from .documents import documents_tools
from .files import files_tools
from .git import git_tools
from .http import http_tools
from .processes import ProcessLimits
from .python import python_tools
from .sandbox import Sandbox
from .shell import shell_tools
from .sql import sql_tools
from .system import system_tools

__all__ = [
    "ProcessLimits",
    "Sandbox",
    "archives_tools",
    "browser_tools",
    "builtin_tools",
    "documents_tools",
    "files_tools",
    "git_tools",
    "http_tools",
    "python_tools",
    "shell_tools",
    "sql_tools",
    "system_tools",
]


def builtin_tools(
    root: Path,
    allow_hosts: Sequence[str] = (),
    *,
    sandbox: Sandbox | None = Sandbox(),  # noqa: B008 - it is frozen
) -> Toolset:
    """Return the tools that need no extra: files, shell, python, http and system.

    Args:
        root: The directory that files, shell and python work in; it must exist.
        allow_hosts: What http may reach; nothing by default. See `http_tools`.
        sandbox: How programs and snippets are kept away from the machine where bubblewrap works; None for not at all.

    Raises:
        ValueError: the root is not a directory, or an entry of `allow_hosts` can't be understood.
    """
    programs = shell_tools(root, sandbox=sandbox) + python_tools(root, sandbox=sandbox)
    return Toolset(files_tools(root) + programs + http_tools(allow_hosts) + system_tools(), name="builtin")
