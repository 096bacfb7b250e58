"""A stronger confinement for programs where bubblewrap is installed and works: a world of their own around the root.

Inside, the root is the only place that lasts and can be written; the system's programs and libraries can be read;
everything else of the machine is not there: no home directory, no other process, no network unless it is
wanted. All processes end with the first one, whatever they do, because the kernel ends their namespace.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ToolFailed

SCRATCH_BYTES = 256 * 1024**2
"""How much /tmp and /dev/shm inside of the sandbox hold, each; it is memory."""

_PROBE_TIMEOUT_S = 10.0

# What programs need of a system: themselves, libraries, time zones, names, certificates. Not /etc as a whole, which
# has keys and password hashes that root could read.
_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store",
    "/etc/alternatives", "/etc/ca-certificates", "/etc/fonts", "/etc/group", "/etc/hosts", "/etc/ld.so.cache",
    "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf",
    "/etc/os-release", "/etc/passwd", "/etc/pki", "/etc/protocols", "/etc/resolv.conf", "/etc/services",
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/timezone",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How programs are kept away from the rest of the machine.

    Attributes:
        network: Whether they may use the network, all of it; the `http` toolkit has a list of hosts instead.
        readable: Directories and files that they may read, besides the root and the system's own.
        required: Whether a call fails where bubblewrap doesn't work, instead of doing without.
    """

    network: bool = False
    readable: tuple[Path, ...] = ()
    required: bool = False


@functools.cache
def bubblewrap() -> tuple[str | None, str]:
    """Find out, once, whether bubblewrap works here; returns its path, or None and the reason."""
    program = shutil.which("bwrap")
    if program is None:
        return None, "bubblewrap is not installed"
    command = [program, *_options(Sandbox()), "--", "/bin/true"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"bubblewrap does not work here: {error}"
    if done.returncode != 0:
        return None, f"bubblewrap does not work here (it has to be 0.8 or newer): {done.stderr.strip()}"
    return program, ""


def may_reach_network(sandbox: Sandbox | None) -> bool:
    """Whether programs may get to the network, on a machine of which it is not known whether bubblewrap works."""
    return sandbox is None or sandbox.network or not sandbox.required


def sandboxed(
    sandbox: Sandbox | None, argv: Sequence[str], *, root: Path, cwd: Path, env: Mapping[str, str]
) -> list[str] | None:
    """Return the command line that runs a program inside of the sandbox, or None where there is to be none.

    Args:
        sandbox: What is wanted; None for no sandbox.
        argv: The program and its arguments.
        root: The directory that may be written.
        cwd: Where the program starts, below the root; looked up inside of the sandbox.
        env: The program's environment, for the path that it is looked up on.

    Raises:
        ToolFailed: the sandbox is required and does not work.
    """
    if sandbox is None:
        return None
    program, reason = bubblewrap()
    if program is None:
        if sandbox.required:
            raise ToolFailed(f"this device runs programs in a sandbox only, and {reason}")
        return None
    if root == Path("/"):  # all of the machine is wanted, so there is nothing to hide
        return None
    # At last the sandbox's own root, which is memory, is closed to writing.
    mounts = ["--bind", str(root), str(root), "--remount-ro", "/", "--chdir", str(cwd)]
    return [program, *_options(sandbox), *mounts, "--", *argv]


def _options(sandbox: Sandbox) -> list[str]:
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--cap-drop", "ALL"]
    if sandbox.network:
        options.append("--share-net")
    scratch = ["--size", str(SCRATCH_BYTES), "--tmpfs"]
    options += ["--proc", "/proc", "--dev", "/dev", *scratch, "/dev/shm", "--remount-ro", "/dev", *scratch, "/tmp"]
    for place in (*_SYSTEM, *_interpreter(), *map(str, sandbox.readable)):
        # A link such as /bin -> usr/bin stays one, so that paths look the same inside.
        if os.path.islink(place) and not place.startswith("/etc/"):
            options += ["--symlink", os.readlink(place), place]
        else:
            options += ["--ro-bind-try", place, place]
    return options


def _interpreter() -> list[str]:
    """Where this Python lives, which runs snippets too."""
    return [place for place in dict.fromkeys((sys.prefix, sys.base_prefix)) if not place.startswith("/usr/")]
