"""Keeping the device's token, and the keys of its agent, away from its tools."""

from __future__ import annotations

import ctypes
import os

from constellation_protocol.kinds import A2AAgent, ModelAgent

from .errors import BadDeviceSetup

TOKEN_VARIABLE = "CONSTELLATION_TOKEN"
A2A_TOKEN_VARIABLE = "A2A_TOKEN"


def take_token() -> str | None:
    """Read the token from the environment and remove it there, so that nothing started later can have it."""
    return _take(TOKEN_VARIABLE)


def take_agent_key(agent: ModelAgent | A2AAgent | None) -> str | None:
    """Do the same with the key of the device's model, or with the token of its A2A agent.

    Raises:
        BadDeviceSetup: the model's string is none.
    """
    if agent is None:
        return None
    if isinstance(agent, A2AAgent):
        return _take(A2A_TOKEN_VARIABLE)
    from constellation.llm import ModelAddress, ModelMisconfigured

    try:
        variable = ModelAddress.parse(agent.model).key_variable
    except ModelMisconfigured as error:
        raise BadDeviceSetup(str(error)) from None
    return None if variable is None else _take(variable)


def _take(variable: str) -> str | None:
    value = os.environ.get(variable)
    if value is None:
        return None
    # Removing a variable leaves the block that the process was started with as it was, and the system shows that
    # to every process of the user (`/proc/PID/environ`, `ps e`). So its text is overwritten first.
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    address = libc.getenv(variable.encode())
    if address is not None:
        ctypes.memset(address, ord("x"), len(value.encode()))
    del os.environ[variable]
    return value


def environment_for_tools() -> dict[str, str]:
    """The environment that processes which run tools are started with."""
    return {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
