"""Built-in toolkits: files, shell, python, http and system, each a function that returns a Toolset.

What a toolkit may touch is fixed when it is made: a root directory, a list of hosts, limits. Its tools hold no
other state, and none of it is global.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..toolset import Toolset
from .files import files_tools
from .http import http_tools
from .python import python_tools
from .shell import shell_tools
from .system import system_tools

__all__ = ["builtin_tools", "files_tools", "http_tools", "python_tools", "shell_tools", "system_tools"]


def builtin_tools(root: Path, allow_hosts: Sequence[str] = ()) -> Toolset:
    """Return all built-in tools.

    Args:
        root: The directory that files, shell and python work in; it must exist.
        allow_hosts: What http may reach; nothing by default. See `http_tools`.

    Raises:
        ValueError: the root is not a directory, or an entry of `allow_hosts` can't be understood.
    """
    together = files_tools(root) + shell_tools(root) + python_tools(root) + http_tools(allow_hosts) + system_tools()
    return Toolset(together, name="builtin")
