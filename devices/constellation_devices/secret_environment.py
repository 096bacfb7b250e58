"""Keeping the device's token away from its tools."""

from __future__ import annotations

import ctypes
import os

TOKEN_VARIABLE = "CONSTELLATION_TOKEN"


def take_token() -> str | None:
    """Read the token from the environment and remove it there, so that nothing started later can have it."""
    token = os.environ.get(TOKEN_VARIABLE)
    if token is None:
        return None
    # Removing a variable leaves the block that the process was started with as it was, and the system shows that
    # to every process of the user (`/proc/PID/environ`, `ps e`). So its text is overwritten first.
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    address = libc.getenv(TOKEN_VARIABLE.encode())
    if address is not None:
        ctypes.memset(address, ord("x"), len(token.encode()))
    del os.environ[TOKEN_VARIABLE]
    return token


def environment_for_tools() -> dict[str, str]:
    """The environment that processes which run tools are started with."""
    return {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
