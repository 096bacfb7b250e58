"""What the demo's tools hand to each other: the shapes of their outputs, and of the lines in the files they make.

Each tool says in `cpu_s` how many seconds of processor time it used, since stars that share a core take longer by the
clock than the work in them does.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from constellation_tools import Artifact


@dataclass(frozen=True, slots=True)
class FunctionSize:
    """A function and how long it is, in lines."""

    name: str
    module: str
    line: int
    lines: int


@dataclass(frozen=True, slots=True)
class FunctionText:
    """A function by its text: functions of equal `digest` read the same, up to their indentation."""

    digest: str
    name: str
    line: int
    lines: int


@dataclass(frozen=True, slots=True)
class ModuleFindings:
    """One module as a scan sees it; one line in a scan's file.

    Attributes:
        module: Its dotted name.
        file: Its path below the library's directory.
        lines: How many lines it has.
        functions: How many functions and methods it defines.
        marks: How many lines bear a mark such as TODO or FIXME.
        strain: How many lines stand in functions that are too long.
        longest: Its longest functions.
        imports: What it imports when it is imported, by dotted name.
        lazy_imports: What its functions import when they are called.
        texts: Its longer functions by their text.
    """

    module: str
    file: str
    lines: int
    functions: int
    marks: int
    strain: int
    longest: list[FunctionSize]
    imports: list[str]
    lazy_imports: list[str]
    texts: list[FunctionText]


@dataclass(frozen=True, slots=True)
class Unparsable:
    """A file that is no Python source to this interpreter, and why."""

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class StrainedModule:
    """A module that a planner may want to look at more closely."""

    module: str
    file: str
    strain: int


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """What a scan of one part has found; `findings` is a file with a line of JSON per module."""

    files: int
    lines: int
    functions: int
    marks: int
    unparsable: list[Unparsable]
    worst: list[StrainedModule]
    findings: Artifact
    cpu_s: float


@dataclass(frozen=True, slots=True)
class FunctionShape:
    """A function as a deeper look sees it.

    Attributes:
        name: Its qualified name within its module.
        line: Where it begins.
        lines: How long it is.
        complexity: Independent paths through it (McCabe): one, and one for each decision.
        nesting: How deep its deepest statement is nested.
        fan_out: How many different things it calls.
    """

    name: str
    line: int
    lines: int
    complexity: int
    nesting: int
    fan_out: int


@dataclass(frozen=True, slots=True)
class LookSummary:
    """What a deeper look at one module has found; `worst` are its most complex functions."""

    module: str
    functions: int
    mean_complexity: float
    worst: list[FunctionShape]
    cpu_s: float


@dataclass(frozen=True, slots=True)
class MarkedModule:
    """A module and how many marks it bears."""

    module: str
    marks: int


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """All scans and deeper looks, merged; `findings` has a line of JSON per module of the whole library."""

    files: int
    lines: int
    functions: int
    marks: int
    unparsable: list[Unparsable]
    longest: list[FunctionSize]
    most_marked: list[MarkedModule]
    looks: list[LookSummary]
    findings: Artifact
    cpu_s: float


@dataclass(frozen=True, slots=True)
class ImportedModule:
    """A module and how many others import it."""

    module: str
    importers: int


@dataclass(frozen=True, slots=True)
class ImportCycle:
    """Modules that import each other while they are being imported: how many they are, and the first of them."""

    modules: int
    members: list[str]


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """The import graph: the largest `cycles` in it, and who is imported most."""

    modules: int
    imports: int
    cycles: list[ImportCycle]
    most_imported: list[ImportedModule]
    cpu_s: float


@dataclass(frozen=True, slots=True)
class CopiedFunction:
    """A function whose text stands in several places, each `<module>:<line> <name>`."""

    lines: int
    places: list[str]


@dataclass(frozen=True, slots=True)
class CopySummary:
    """Functions that were written once and copied, the longest first; `groups` counts all of them."""

    groups: int
    copied_lines: int
    worst: list[CopiedFunction]
    cpu_s: float


MODULE_FINDINGS: TypeAdapter[ModuleFindings] = TypeAdapter(ModuleFindings)
SCAN_SUMMARY: TypeAdapter[ScanSummary] = TypeAdapter(ScanSummary)
AUDIT_SUMMARY: TypeAdapter[AuditSummary] = TypeAdapter(AuditSummary)
IMPORT_SUMMARY: TypeAdapter[ImportSummary] = TypeAdapter(ImportSummary)
COPY_SUMMARY: TypeAdapter[CopySummary] = TypeAdapter(CopySummary)
