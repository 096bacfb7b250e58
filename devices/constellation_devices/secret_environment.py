"""Keeping the device's token away from its tools."""

from __future__ import annotations

import os

TOKEN_VARIABLE = "CONSTELLATION_TOKEN"


def take_token() -> str | None:
    """Read the token from the environment and remove it there, so that nothing started later inherits it."""
    return os.environ.pop(TOKEN_VARIABLE, None)


def environment_for_tools() -> dict[str, str]:
    """The environment that processes which run tools are started with."""
    return {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
