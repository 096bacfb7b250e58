"""The graph that an audit begins with: scans side by side, a merge of what they find, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from constellation import Output, RetryPolicy, StarHandle, TaskConstellation

from .library import SourceFile, deal

SCAN_TOOL = "audit_scan"
LOOK_TOOL = "audit_look"
MERGE_TOOL = "audit_merge"
IMPORTS_TOOL = "audit_imports"
COPIES_TOOL = "audit_copies"

MERGE = "merge"
IMPORTS = "import-graph"
COPIES = "copied-functions"

SCANNERS = {"scans": "yes"}
ANALYSTS = {"analyses": "yes"}

RETRY = RetryPolicy(max_attempts=3, backoff_s=0.2)
"""Reading a file may fail for a moment: everything here only reads, so trying again does no harm."""

SCAN_TIMEOUT_S = 300.0
ANALYSIS_TIMEOUT_S = 120.0


def plan_audit(root: Path, sources: Sequence[SourceFile], *, seed: int, parts: int) -> TaskConstellation:
    """Plan an audit; the same files, seed and number of parts make the same graph.

    Args:
        root: The library's directory, absolute.
        sources: The files to audit.
        seed: Says which files are scanned together.
        parts: How many scans there are at most.
    """
    graph = TaskConstellation("library audit", description=f"{len(sources)} source files below {root}, seed {seed}")
    scans: list[StarHandle] = []
    for number, part in enumerate(deal(sources, seed=seed, parts=parts), start=1):
        scans.append(
            graph.star(
                f"scan {number:02d}",
                SCAN_TOOL,
                description=f"{len(part)} files, {sum(source.size for source in part)} bytes",
                requires=SCANNERS,
                timeout_s=SCAN_TIMEOUT_S,
                retry=RETRY,
                root=str(root),
                files=[source.path for source in part],
            )
        )
    merged = _analysis(graph, "merge", MERGE, MERGE_TOOL, scans=[scan.output for scan in scans], looks=[])
    _analysis(graph, "import graph", IMPORTS, IMPORTS_TOOL, findings=merged.output["findings"])
    _analysis(graph, "copied functions", COPIES, COPIES_TOOL, findings=merged.output["findings"])
    return graph


def _analysis(
    graph: TaskConstellation, name: str, star: str, tool: str, **arguments: Output | Sequence[Output]
) -> StarHandle:
    return graph.star(
        name, tool, id=star, requires=ANALYSTS, timeout_s=ANALYSIS_TIMEOUT_S, retry=RETRY, arguments=arguments
    )
