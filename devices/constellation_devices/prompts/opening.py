"""What carries out a device's prompts, made from what the device was told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from constellation_protocol.kinds import A2AAgent, DeviceSpec

from ..errors import BadDeviceSetup
from ..home import DeviceHome
from .work import PROMPT_TOOL, Prompter


@asynccontextmanager
async def open_prompter(
    spec: DeviceSpec, home: DeviceHome, *, key: str | None = None
) -> AsyncIterator[Prompter | None]:
    """Open what carries out a device's prompts, None where nothing does; closes its connections in the end.

    Args:
        spec: What the device was told.
        home: The device's home.
        key: The key of its model, or the token of its A2A agent; None for the environment's.

    Raises:
        BadDeviceSetup: it can't be opened, or the device has a tool of the name that prompts go by.
    """
    agent = spec.agent
    if agent is None:
        yield None
        return
    if PROMPT_TOOL in home.tools:
        raise BadDeviceSetup(f"the device can't have an agent and a tool named {PROMPT_TOOL!r}: rename the tool")
    if isinstance(agent, A2AAgent):
        from .a2a_agent import open_a2a_agent

        async with open_a2a_agent(agent, token=key) as prompter:
            yield prompter
        return
    from .model_agent import open_model_agent

    async with open_model_agent(agent, device=spec.name, key=key) as model_prompter:
        yield model_prompter
