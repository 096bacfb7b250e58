"""The demo's own part of the report: what the audit has found, and what happened on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter

from constellation import RunReport, TaskConstellation, ToolCall
from constellation.console.formatting import counted, duration
from constellation.console.markdown import plain, section, table

from .findings import AUDIT_SUMMARY, COPY_SUMMARY, IMPORT_SUMMARY, AuditSummary, CopySummary, ImportSummary
from .plan import COPIES, IMPORTS, MERGE, SCAN_TOOL
from .story import Edit, Loss, Story

UNPARSABLE_SHOWN = 20

T = TypeVar("T")


def findings_blocks(report: RunReport, graph: TaskConstellation, story: Story, *, cores: int) -> list[str]:
    """The blocks of Markdown that the general report leaves room for.

    Args:
        report: The run's account of itself.
        graph: The run's graph with the states and outputs of its stars.
        story: What happened to the run.
        cores: How many cores the machine has for all devices together.
    """
    audit = _output(graph, MERGE, AUDIT_SUMMARY)
    imports = _output(graph, IMPORTS, IMPORT_SUMMARY)
    copies = _output(graph, COPIES, COPY_SUMMARY)
    return [
        *section("What was found", _overview(audit, imports, copies)),
        *(_of_audit(audit) if audit is not None else []),
        *(_of_imports(imports) if imports is not None else []),
        *section("Copied functions", _copies(copies) if copies is not None else []),
        *section("How it went", _course(report, graph, story, cores)),
        *section("Edits of the running graph", _edits(story.edits)),
        *section("Placed elsewhere", _losses(story.losses, graph)),
    ]


def _output(graph: TaskConstellation, star: str, adapter: TypeAdapter[T]) -> T | None:
    """The output of a star, or None when it has none."""
    outcome = graph.outcome(star)
    if outcome is None or outcome.output is None:
        return None
    return adapter.validate_python(outcome.output)


def _overview(audit: AuditSummary | None, imports: ImportSummary | None, copies: CopySummary | None) -> list[str]:
    rows: list[tuple[str, str]] = []
    if audit is not None:
        rows += [
            ("Source files", f"{audit.files:,}"),
            ("Lines", f"{audit.lines:,}"),
            ("Functions and methods", f"{audit.functions:,}"),
            ("Lines marked TODO, FIXME, XXX or HACK", f"{audit.marks:,}"),
            ("Unparsable files", f"{len(audit.unparsable):,}"),
            ("Modules looked at more closely", f"{len(audit.looks):,}"),
        ]
    if imports is not None:
        rows += [
            ("Imports between modules", f"{imports.imports:,}"),
            ("Longest import cycle", _cycle_length(imports)),
        ]
    if copies is not None:
        rows.append(("Copied functions", f"{copies.groups:,} ({counted(copies.copied_lines, 'line')} too many)"))
    return table(("What", "How many"), rows, right=(1,)) if rows else []


def _cycle_length(imports: ImportSummary) -> str:
    return counted(imports.cycles[0].modules, "module") if imports.cycles else "none"


def _of_audit(audit: AuditSummary) -> list[str]:
    longest = ((size.name, f"{size.module}:{size.line}", f"{size.lines:,}") for size in audit.longest)
    looks = (
        (
            look.module,
            f"{look.functions:,}",
            f"{look.mean_complexity:.1f}",
            shape.name,
            f"{shape.lines:,}",
            f"{shape.complexity:,}",
            f"{shape.nesting:,}",
            f"{shape.fan_out:,}",
        )
        for look in audit.looks
        for shape in look.worst[:1]
    )
    looked_head = ("Module", "Functions", "Mean", "Most complex function", "Lines", "Complexity", "Nesting", "Calls")
    unparsable = [f"- {plain(file.file)}: {plain(file.reason)}" for file in audit.unparsable[:UNPARSABLE_SHOWN]]
    if len(audit.unparsable) > UNPARSABLE_SHOWN:
        unparsable.append(f"- and {len(audit.unparsable) - UNPARSABLE_SHOWN:,} more")
    return [
        *section("Longest functions", table(("Function", "Where", "Lines"), longest, right=(2,))),
        *section("A deeper look at the worst modules", table(looked_head, looks, right=(1, 2, 4, 5, 6, 7))),
        *section(
            "Most marked modules",
            table(("Module", "Marks"), ((each.module, f"{each.marks:,}") for each in audit.most_marked), right=(1,)),
        ),
        *section("Unparsable files", unparsable),
    ]


def _of_imports(imports: ImportSummary) -> list[str]:
    most = ((each.module, f"{each.importers:,}") for each in imports.most_imported)
    cycles = [
        f"- {counted(cycle.modules, 'module')}: {plain(', '.join(cycle.members), 1000)}"
        + (", …" if cycle.modules > len(cycle.members) else "")
        for cycle in imports.cycles
    ]
    return [
        *section("Most imported modules", table(("Module", "Imported by"), most, right=(1,))),
        *section("Import cycles", cycles),
    ]


def _copies(copies: CopySummary) -> list[str]:
    rows = ((f"{copy.lines:,}", ", ".join(copy.places)) for copy in copies.worst)
    return table(("Lines", "Places"), rows, right=(0,)) if copies.worst else []


def _course(report: RunReport, graph: TaskConstellation, story: Story, cores: int) -> list[str]:
    cpu_s = sum(_cpu_s(graph, star) for star in graph)
    scans = [star for star in graph if _is_scan(graph, star)]
    lost = dict.fromkeys([*report.devices_lost, *(loss.device for loss in story.losses)])
    devices = len({*report.device_s, *lost})
    lines = [f"- Devices with work: {devices} processes, which share {counted(cores, 'core')}"]
    if report.makespan_s > 0:
        lines += [
            f"- Stars at once: up to {report.width}; {duration(report.serial_s)} of work by the clock "
            f"in {duration(report.makespan_s)}: {report.speedup:.2f} times as fast as one after another",
            f"- Processor time used by the tools: {duration(cpu_s)}, {cpu_s / report.makespan_s:.2f} cores on average. "
            "Time by the clock also counts starting processes and waiting for a core, which flatters the speed-up; "
            "processor time does not",
        ]
    merged = graph.outcome(MERGE)
    if merged is not None and merged.device is not None:
        far = sum(1 for star in scans if (outcome := graph.outcome(star)) and outcome.device != merged.device)
        lines.append(
            f"- Files of {far} of {len(scans)} scans were carried from other devices to {plain(merged.device)}"
        )
    lines.append(f"- Edits of the running graph: {len(story.edits)}")
    lines.append(f"- Devices lost: {plain(', '.join(lost)) if lost else 'none'}")
    if story.taken_up:
        times = counted(story.taken_up, "time")
        lines.append(f"- Taken up again after its orchestrator had stopped: {times}; the gap counts in all times above")
    return lines


def _is_scan(graph: TaskConstellation, star: str) -> bool:
    work = graph[star].work
    return isinstance(work, ToolCall) and work.tool == SCAN_TOOL


def _cpu_s(graph: TaskConstellation, star: str) -> float:
    outcome = graph.outcome(star)
    output: Any = outcome.output if outcome is not None else None
    return float(output.get("cpu_s", 0.0)) if isinstance(output, Mapping) else 0.0


def _edits(edits: Sequence[Edit]) -> list[str]:
    rows = ((duration(edit.at_s), edit.author, edit.reason, ", ".join(edit.added), str(edit.during)) for edit in edits)
    return table(("After", "By", "Why", "Added", "Running then"), rows, right=(0, 4)) if edits else []


def _losses(losses: Sequence[Loss], graph: TaskConstellation) -> list[str]:
    return [
        f"- {plain(graph[loss.star].title)} was lost with {plain(loss.device)} ({plain(loss.reason)}) and "
        + (f"placed on {plain(loss.placed_on)}" if loss.placed_on is not None else "not placed again")
        for loss in losses
        if loss.star in graph
    ]
