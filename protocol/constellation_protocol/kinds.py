"""What it takes to start a device: the interface between an orchestrator and the kinds of device it can start.

A kind (in this process, as a child process, on another host) is found by its entry point in the group
`constellation.device_kinds`; an entry point names a class that implements `DeviceKind` and takes no arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Protocol

from .link import Link
from .messages import Hello


@dataclass(frozen=True, slots=True)
class ModelAgent:
    """A language model that carries out a device's prompts with the device's tools. Its key is in the environment.

    Attributes:
        model: The model string, such as `openai/gpt-5` or `vllm/qwen3@http://10.0.0.7:8000`.
        instructions: What the model is told besides what every agent is told.
        context_tokens: How long a conversation the model takes; None to make it shorter only when the model says so.
        max_steps: How often the model is asked for one prompt.
        max_tokens: How many tokens one prompt may use, prompts and answers together; None for no limit.
        max_time_s: How long one prompt may take, in seconds; None for no limit besides the star's own.
        budget_usd: What one prompt may cost; None for no limit.
        prices_usd: What a million tokens of prompts, and of answers, cost; None where the provider tells it.
        allow: Patterns of names of tools that the model may call, such as `files_*`.
        ask: Patterns of those that somebody has to approve first.
        deny: Patterns of those that it may not call.
        transcripts: Directory in which the conversation of every prompt is kept; None to keep none.
    """

    model: str
    instructions: str = ""
    context_tokens: int | None = None
    max_steps: int = 50
    max_tokens: int | None = None
    max_time_s: float | None = None
    budget_usd: Decimal | None = None
    prices_usd: tuple[Decimal, Decimal] | None = None
    allow: Sequence[str] = ()
    ask: Sequence[str] = ()
    deny: Sequence[str] = ()
    transcripts: Path | None = None


@dataclass(frozen=True, slots=True)
class A2AAgent:
    """An agent elsewhere that carries out a device's prompts, reached by A2A. Its token is in the environment.

    Attributes:
        url: The agent's base URL, below which its card is.
    """

    url: str


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device to start.

    Attributes:
        name: The device's id, unique within its orchestrator.
        labels: Added to the labels that the device finds out by itself (`os`, `arch`, `hostname`).
        resources: Added to the amounts that it finds out by itself (`cpu`, `memory_gb`, `gpu`).
        slots: How many stars it runs at once.
        tools: What it offers besides the built-in toolkits: references `module:attr` or `file.py:attr`, or,
            for devices in this process, functions and tools themselves.
        root: The directory that file, shell and python tools are confined to; a fresh one when None.
        state_dir: Where it keeps results until they are acknowledged, artifacts and its log; temporary when None.
        allow_hosts: Host names that its http tools may reach.
        sandbox_network: Whether its shell and python tools have the network, all of it, in their sandbox.
        sandbox_readable: Directories and files that these may read there, besides the root and the system's own.
        agent: What carries out prompts on it; None where nothing does.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    slots: int = 1
    tools: Sequence[Any] = ()
    root: Path | None = None
    state_dir: Path | None = None
    allow_hosts: Sequence[str] = ()
    sandbox_network: bool = False
    sandbox_readable: Sequence[Path] = ()
    agent: ModelAgent | A2AAgent | None = None


class HubDoor(Protocol):
    """How a device gets in: over the network with a URL and a token, or directly when it lives in this process."""

    @property
    def url(self) -> str:
        """The WebSocket URL that devices dial."""

    def issue_token(self, device: str) -> str:
        """Make a token that lets the device of this name in."""

    def open_direct(self, hello: Hello) -> Link:
        """Open a session for a device in this process and return the device's side of the link."""


class StartedDevice(Protocol):
    """A device that a kind has started."""

    @property
    def name(self) -> str:
        """The device's id."""

    @property
    def pid(self) -> int:
        """The process that it runs in."""

    def offer(self, tools: Sequence[Any]) -> None:
        """Offer further tools, where the kind can (devices in this process); else raises TypeError."""

    async def wait_ended(self) -> str:
        """Wait until the device has ended by itself or was stopped, and return how, in words."""

    async def aclose(self) -> None:
        """Stop the device and wait until nothing of it is left."""


class DeviceKind(AbstractAsyncContextManager["DeviceKind"], Protocol):
    """Starts devices of one kind; leaving the context stops all that it has started.

    Attributes:
        in_process: Whether its devices live in this process, so that they need no URL to dial.
    """

    in_process: ClassVar[bool]

    async def start(self, spec: DeviceSpec, door: HubDoor) -> StartedDevice:
        """Start a device; returns once it has been started, which may be before it has joined.

        Raises:
            OSError: the device can't be started, with the reason.
        """
