"""Which tool libraries can be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

OURS = "constellation"
ALONE = "pydantic-alone"
CLOSEST = "pydantic-ai"
"""The peer whose schemas ours must not cost more than."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A library.

    Attributes:
        name: What it is called.
        about: How it is used.
        packages: The distributions that it needs besides our own.
    """

    name: str
    about: str
    packages: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """The module that uses it."""
        return f"{__package__}.libraries.{self.name.replace('-', '_')}"

    def missing(self) -> str | None:
        """Why it can't be measured here; None when it can."""
        absent = [package for package in self.packages if not is_installed(package)]
        if not absent:
            return None
        return f"{', '.join(absent)} not installed: pip install 'constellation-agents[bench-peers]'"

    def versions(self) -> dict[str, str]:
        """The versions of its packages."""
        return {package: metadata.version(package) for package in self.packages}


def is_installed(package: str) -> bool:
    """Whether a distribution is there."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


SUBJECTS: Mapping[str, Subject] = {
    subject.name: subject
    for subject in (
        Subject(OURS, "Tool.from_function"),
        Subject(ALONE, "a TypeAdapter of a TypedDict", ("pydantic",)),
        Subject(CLOSEST, "Tool", ("pydantic-ai-slim",)),
        Subject("fastmcp", "Tool.from_function", ("fastmcp",)),
        Subject("mcp", "the server's Tool.from_function", ("mcp",)),
        Subject("openai-agents", "function_tool, not strict", ("openai-agents",)),
        Subject("openai-agents-strict", "function_tool", ("openai-agents",)),
        Subject("langchain", "StructuredTool.from_function", ("langchain-core",)),
        Subject("anthropic", "beta_tool", ("anthropic",)),
    )
}
