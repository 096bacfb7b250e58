"""A program: print the public surface, one line per name, for `tests/public_api.txt`.

    python tests/public_api.py >tests/public_api.txt

Parameters are listed with their kinds and whether they have defaults; types are mypy's business.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from importlib import import_module
from typing import Any

PACKAGES = (
    "constellation",
    "constellation.llm",
    "constellation.planner",
    "constellation.testing",
    "constellation.testing.conformance",
    "constellation.testing.journals",
    "constellation.testing.models",
    "constellation.testing.models.conformance",
    "constellation_tools",
    "constellation_tools.dialects",
    "constellation_tools.mcp",
    "constellation_tools.mcp.serving",
    "constellation_tools.runner",
    "constellation_devices",
    "constellation_protocol",
)


def surface() -> Iterator[str]:
    """The lines."""
    for package in PACKAGES:
        module = import_module(package)
        for name in sorted(module.__all__):
            yield from describe(f"{package}.{name}", getattr(module, name))


def describe(path: str, value: Any) -> Iterator[str]:
    """A name, and what is below it when it is a class of ours."""
    if not inspect.isclass(value):
        yield f"{path}{parameters(value)}" if inspect.isroutine(value) else path
        return
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    yield f"{path}: class({bases})" if bases else f"{path}: class"
    if issubclass(value, Enum):
        yield from (f"{path}.{member.name} = {member.value!r}" for member in value)
        return
    own = {name: member for base in reversed(value.__mro__) if is_ours(base) for name, member in vars(base).items()}
    if hasattr(value, "__dataclass_fields__"):
        yield from (f"{path}.{field}" for field in value.__dataclass_fields__ if not field.startswith("_"))
    elif "model_fields" in dir(value):
        yield from (f"{path}.{field}" for field in value.model_fields)
    elif "__init__" in own:
        yield f"{path}{parameters(value.__init__)}"
    for name, member in sorted(own.items()):
        if name.startswith("_") or name == "model_config" or name in getattr(value, "__dataclass_fields__", {}):
            continue
        if isinstance(member, (property, cached_property)):
            yield f"{path}.{name}: property"
        elif isinstance(member, (classmethod, staticmethod)) or inspect.isroutine(member):
            yield f"{path}.{name}{parameters(getattr(value, name))}"


def is_ours(base: type) -> bool:
    """Whether a class is defined in this project."""
    return base.__module__.partition(".")[0] in PACKAGES


def parameters(function: Any) -> str:
    """The parameters of a function, without their types."""
    shown, star = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        mark = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else "=…"
        shown.append(f"{mark}{parameter.name}{default}")
    return f"({', '.join(shown)})"


if __name__ == "__main__":
    import sys

    sys.stdout.write("\n".join(surface()) + "\n")
