"""Where work is carried out, as the options of `run` and `ask` say it: on devices started here, or at a hub."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import BadInput
from .options import DEVICES, MAX_DEVICES, absolute_tools, check_choice, connected

if TYPE_CHECKING:
    from constellation_protocol.kinds import ModelAgent

ASK_DEVICES = 3
"""How many device processes `ask` starts when nothing is said."""

Devices = Annotated[
    int | None,
    typer.Option(
        min=1, max=MAX_DEVICES, help=f"Device processes to start; when left out {DEVICES}, for ask {ASK_DEVICES}."
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(help="Directory that file, shell and python tools are confined to; else the present one."),
]
AllowHost = Annotated[
    list[str] | None, typer.Option(help="A host that http tools may reach; may be repeated.", metavar="HOST")
]
Deadline = Annotated[float | None, typer.Option(min=0, help="Seconds after which the run is ended.", metavar="SECONDS")]


@dataclass(frozen=True, slots=True)
class Where:
    """A hub, or devices of one's own, as options name them; those that were not given are None.

    Attributes:
        hub: The hub's URL.
        token_file: The file that holds its token.
        devices: How many devices to start.
        tools: References to tools that they offer.
        root: What their tools are confined to.
        allow_host: Hosts that they may reach.
        journal: The journal.
    """

    hub: str | None
    token_file: Path | None
    devices: int | None
    tools: Sequence[str] | None
    root: Path | None
    allow_host: Sequence[str] | None
    journal: str | None

    def check(self, deadline: float | None, **further: object) -> None:
        """Refuse what makes no sense, or has no say at a hub; `further` options go without one only, too.

        Raises:
            BadInput: it does not.
        """
        own: Mapping[str, object] = {
            "--devices": self.devices,
            "--tools": self.tools,
            "--root": self.root,
            "--allow-host": self.allow_host,
            "--journal": self.journal,
            **{f"--{name.replace('_', '-')}": value for name, value in further.items()},
        }
        check_choice(self.hub, self.token_file, own)
        if deadline == 0:
            raise BadInput("--deadline 0 would end the run before it begins; give seconds, or leave it out")
        if deadline == math.inf:
            raise BadInput(f"--deadline {deadline} is no number of seconds; leave it out for a run without one")
        if self.root is not None and not self.root.is_dir():
            raise BadInput(f"--root {self.root} is no directory")

    def opened(
        self, *, devices: int, tools: Sequence[str] = (), agent: ModelAgent | None = None
    ) -> AbstractAsyncContextManager[Any]:
        """The orchestrator: a hub's, or one with devices of its own.

        Args:
            devices: How many are started when nothing was said.
            tools: What they offer besides.
            agent: What carries out prompts on them.
        """
        from ..orchestrator.orchestrator import Orchestrator

        if self.hub is not None:
            return connected(self.hub, self.token_file)
        return Orchestrator.local(
            self.devices if self.devices is not None else devices,
            kind="process",
            tools=(*tools, *absolute_tools(self.tools or ())),
            root=self.root.absolute() if self.root is not None else None,
            allow_hosts=tuple(self.allow_host or ()),
            agent=agent,
            journal=self.journal,
        )
