"""The tools that the demo's devices offer. They read the audited directory and write nothing but their own files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from constellation_tools import Artifact, ToolContext, ToolFailed, tool

from .findings import (
    MODULE_FINDINGS,
    AuditSummary,
    CopySummary,
    ImportSummary,
    LookSummary,
    MarkedModule,
    ModuleFindings,
    ScanSummary,
    StrainedModule,
    Unparsable,
)
from .library import inside
from .relations import copy_summary, import_summary
from .shapes import function_shapes
from .source import NotParsable, measure, module_name, parse

MAX_SOURCE_BYTES = 8 * 1024 * 1024
"""A file over this many bytes is no source that anyone wrote, and is not parsed."""
WORST_KEPT = 4
"""How many modules a scan puts up for a deeper look."""
SHAPES_KEPT = 5
LONGEST_SHOWN = 15
MARKED_SHOWN = 10
REPORTS_PER_SCAN = 2
"""How often a scan says how far it has come."""


@tool(idempotent=True)
def audit_scan(root: Path, files: list[str], context: ToolContext) -> ScanSummary:
    """Scan source files, and keep what was found of each module in a file.

    Args:
        root: The library's directory.
        files: The files, by their paths below it.
        context: Where the call runs.
    """
    begun = time.thread_time()
    modules: list[ModuleFindings] = []
    unparsable: list[Unparsable] = []
    step = max(1, len(files) // REPORTS_PER_SCAN)
    for number, file in enumerate(files, start=1):
        context.check_cancelled()
        try:
            modules.append(measure(file, _read(root, file)))
        except NotParsable as error:
            unparsable.append(Unparsable(file, str(error)))
        if number % step == 0:
            context.progress(f"{number} of {len(files)} files", fraction=number / len(files))
    strained = sorted((found for found in modules if found.strain), key=lambda found: (-found.strain, found.module))
    return ScanSummary(
        files=len(files),
        lines=sum(found.lines for found in modules),
        functions=sum(found.functions for found in modules),
        marks=sum(found.marks for found in modules),
        unparsable=unparsable,
        worst=[StrainedModule(found.module, found.file, found.strain) for found in strained[:WORST_KEPT]],
        findings=_keep(modules, context),
        cpu_s=time.thread_time() - begun,
    )


@tool(idempotent=True)
def audit_look(root: Path, file: str, context: ToolContext) -> LookSummary:
    """Look deeper into one module: how complex, nested and entangled its functions are.

    Args:
        root: The library's directory.
        file: The module's path below it.
        context: Where the call runs.
    """
    begun = time.thread_time()
    try:
        shapes = function_shapes(parse(_read(root, file)))
    except NotParsable as error:
        raise ToolFailed(f"{file} can't be parsed: {error}") from error
    context.progress(f"{len(shapes)} functions in {file}")
    mean = sum(shape.complexity for shape in shapes) / len(shapes) if shapes else 0.0
    return LookSummary(
        module=module_name(file),
        functions=len(shapes),
        mean_complexity=round(mean, 2),
        worst=shapes[:SHAPES_KEPT],
        cpu_s=time.thread_time() - begun,
    )


@tool(idempotent=True)
def audit_merge(scans: list[ScanSummary], looks: list[LookSummary], context: ToolContext) -> AuditSummary:
    """Merge what scans and deeper looks have found, whose files come here from the devices that made them.

    Args:
        scans: What the scans have returned.
        looks: What the deeper looks have returned.
        context: Where the call runs.
    """
    begun = time.thread_time()
    modules = sorted(
        (found for scan in scans for found in _modules(scan.findings)), key=lambda found: (found.module, found.file)
    )
    context.progress(f"{len(modules)} modules out of {len(scans)} files")
    longest = sorted((size for found in modules for size in found.longest), key=lambda size: (-size.lines, size.module))
    marked = sorted((found for found in modules if found.marks), key=lambda found: (-found.marks, found.module))
    return AuditSummary(
        files=sum(scan.files for scan in scans),
        lines=sum(scan.lines for scan in scans),
        functions=sum(scan.functions for scan in scans),
        marks=sum(scan.marks for scan in scans),
        unparsable=[file for scan in scans for file in scan.unparsable],
        longest=longest[:LONGEST_SHOWN],
        most_marked=[MarkedModule(found.module, found.marks) for found in marked[:MARKED_SHOWN]],
        looks=looks,
        findings=_keep(modules, context),
        cpu_s=time.thread_time() - begun,
    )


@tool(idempotent=True)
def audit_imports(findings: Artifact) -> ImportSummary:
    """Build the import graph of all modules: who is imported most, and who imports each other.

    Args:
        findings: The merged file.
    """
    begun = time.thread_time()
    summary = import_summary(list(_modules(findings)))
    return replace(summary, cpu_s=time.thread_time() - begun)


@tool(idempotent=True)
def audit_copies(findings: Artifact) -> CopySummary:
    """Find functions whose text stands in several places.

    Args:
        findings: The merged file.
    """
    begun = time.thread_time()
    summary = copy_summary(list(_modules(findings)))
    return replace(summary, cpu_s=time.thread_time() - begun)


def _read(root: Path, file: str) -> bytes:
    """Read a source; raises Confined, NotParsable when it is too long, OSError."""
    with inside(root, file).open("rb") as source:
        content = source.read(MAX_SOURCE_BYTES + 1)
    if len(content) > MAX_SOURCE_BYTES:
        raise NotParsable(f"longer than {MAX_SOURCE_BYTES:,} bytes")
    return content


def _keep(modules: Iterable[ModuleFindings], context: ToolContext) -> Artifact:
    content = b"".join(MODULE_FINDINGS.dump_json(found) + b"\n" for found in modules)
    return context.artifact(content, name="findings.jsonl", media_type="application/jsonl")


def _modules(findings: Artifact) -> Iterator[ModuleFindings]:
    with findings.path.open("rb") as lines:
        for line in lines:
            yield MODULE_FINDINGS.validate_json(line)
