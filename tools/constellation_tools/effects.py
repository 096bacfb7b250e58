"""What a tool does to the world: the hints of the Model Context Protocol, and whether it runs what it is given.

A tool that says nothing of itself is taken to do the worst: it writes, destroys, reaches beyond, and runs programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .errors import ToolDefinitionError

_OPTIONS = ("read_only", "destructive", "open_world", "runs_programs")


class Effect(StrEnum):
    """What a tool may do; `READ_ONLY` and `WRITES` exclude each other."""

    READ_ONLY = "read_only"
    WRITES = "writes"
    DESTRUCTIVE = "destructive"
    OPEN_WORLD = "open_world"
    RUNS_PROGRAMS = "runs_programs"


@dataclass(frozen=True, slots=True)
class Effects:
    """What a tool says of what it does.

    Attributes:
        read_only: Whether it changes nothing.
        destructive: Whether it may replace or remove what is there, or do what can't be undone.
        open_world: Whether it reaches beyond what its owner has given it, such as over the network.
        runs_programs: Whether it runs programs or code that its caller chooses.
        declared: Whether any of this was said, and not assumed.
    """

    read_only: bool = False
    destructive: bool = True
    open_world: bool = True
    runs_programs: bool = True
    declared: bool = False

    @classmethod
    def of(cls, tool: str, options: Mapping[str, Any]) -> Effects:
        """Read the options of a tool; what is left out is assumed from the others, or is the worst.

        Raises:
            ToolDefinitionError: they contradict each other.
        """
        said = {name: options[name] for name in _OPTIONS if options.get(name) is not None}
        read_only = bool(said.get("read_only", False))
        if read_only and (said.get("destructive") or said.get("runs_programs")):
            raise ToolDefinitionError(f"tool {tool!r} can't be read_only and destructive, or run any program")
        return cls(
            read_only=read_only,
            destructive=said.get("destructive", not read_only),
            open_world=said.get("open_world", True),
            runs_programs=said.get("runs_programs", not read_only),
            declared=bool(said),
        )

    @property
    def all(self) -> frozenset[Effect]:
        """Those that it has."""
        has = {
            Effect.READ_ONLY: self.read_only,
            Effect.WRITES: not self.read_only,
            Effect.DESTRUCTIVE: self.destructive,
            Effect.OPEN_WORLD: self.open_world,
            Effect.RUNS_PROGRAMS: self.runs_programs,
        }
        return frozenset(effect for effect, is_had in has.items() if is_had)


WORST = Effects()
"""What is assumed of a tool of which nothing is known."""
