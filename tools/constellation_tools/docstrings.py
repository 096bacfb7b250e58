"""What a docstring says: the description, and what it says of each parameter (Google, NumPy and Sphinx styles).

Only the parts about parameters are understood and taken out; every other section stays in the description as
it was written. Styles may be mixed: each is recognised by its own marks.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

_SECTIONS = "args|arguments|parameters|params|other parameters|keyword args|keyword arguments|attributes"
_GOOGLE_HEAD = re.compile(rf"^(?:{_SECTIONS}):\s*$", re.IGNORECASE)
_GOOGLE_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*:(?:\s+(.*))?$")
_NUMPY_HEAD = re.compile(rf"^(?:{_SECTIONS})\s*$", re.IGNORECASE)
_NUMPY_RULE = re.compile(r"^-{3,}\s*$")
_NUMPY_ENTRY = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_SPHINX_PARAM = re.compile(
    r"^:(?:param|parameter|arg|argument|key|keyword|ivar|var)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$"
)
_SPHINX_TYPE = re.compile(r"^:(?:type|vartype)\s+[^:]+:")


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring taken apart.

    Attributes:
        description: Everything but the parts about parameters.
        parameters: What is said of each parameter, on one line.
    """

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def parse_docstring(text: str | None) -> Docstring:
    """Take a docstring apart; None and empty give an empty result."""
    if not text:
        return Docstring()
    lines = inspect.cleandoc(text).splitlines()
    kept: list[str] = []
    parameters: dict[str, str] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        if _GOOGLE_HEAD.match(line) and _indent(_next_text(lines, at + 1)) > 0:
            end = _block_end(lines, at + 1)
            parameters.update(_google_entries(lines[at + 1 : end]))
        elif _NUMPY_HEAD.match(line) and at + 1 < len(lines) and _NUMPY_RULE.match(lines[at + 1]):
            end = _numpy_end(lines, at + 2)
            parameters.update(_numpy_entries(lines[at + 2 : end]))
        elif match := _SPHINX_PARAM.match(line):
            end = _block_end(lines, at + 1)
            parameters[match[1]] = _join([match[2], *lines[at + 1 : end]])
        elif _SPHINX_TYPE.match(line):
            end = _block_end(lines, at + 1)
        else:
            kept.append(line)
            end = at + 1
        at = end
    return Docstring(re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip(), {k: v for k, v in parameters.items() if v})


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _next_text(lines: list[str], at: int) -> str:
    return next((line for line in lines[at:] if line.strip()), "")


def _block_end(lines: list[str], at: int) -> int:
    """Return where the indented block that starts at `at` ends; blank lines after it are not part of it."""
    end = at
    for index in range(at, len(lines)):
        if lines[index].strip():
            if _indent(lines[index]) == 0:
                break
            end = index + 1
    return end


def _numpy_end(lines: list[str], at: int) -> int:
    """Return where a NumPy section ends: at the next underlined heading, or at a field list."""
    for index in range(at, len(lines)):
        underlined = index + 1 < len(lines) and _NUMPY_RULE.match(lines[index + 1]) and lines[index].strip()
        if underlined or lines[index].startswith(":"):
            return index
    return len(lines)


def _google_entries(block: list[str]) -> dict[str, str]:
    margin = _indent(_next_text(block, 0))
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in block:
        match = _GOOGLE_ENTRY.match(line.strip()) if _indent(line) == margin else None
        if match:
            current = found[match[1]] = [match[2] or ""]
        else:
            current.append(line)
    return {name: _join(parts) for name, parts in found.items()}


def _numpy_entries(block: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in block:
        match = _NUMPY_ENTRY.match(line) if line.strip() and _indent(line) == 0 else None
        if match:
            current = []
            for name in match[1].split(","):
                found[name.strip().lstrip("*")] = current
        else:
            current.append(line)
    return {name: _join(parts) for name, parts in found.items()}


def _join(parts: list[str]) -> str:
    return " ".join(" ".join(parts).split())
