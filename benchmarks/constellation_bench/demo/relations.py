"""What holds between modules: who imports whom, in which cycles, and which functions were copied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from .findings import CopiedFunction, CopySummary, ImportCycle, ImportedModule, ImportSummary, ModuleFindings

CYCLES_KEPT = 10
MEMBERS_KEPT = 12
IMPORTED_KEPT = 10
COPIES_KEPT = 10
PLACES_KEPT = 6


def import_summary(modules: Sequence[ModuleFindings], *, cpu_s: float = 0.0) -> ImportSummary:
    """The import graph of modules; what lies outside of them is left out, and so are imports of oneself.

    Cycles are made by imports that happen while a module is imported; one inside of a function closes none.
    """
    import networkx as nx

    known = {found.module for found in modules}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted(known))
    importers: Counter[str] = Counter()
    edges = 0
    for found in modules:
        eager = _targets(found.module, found.imports, known)
        every = eager | _targets(found.module, found.lazy_imports, known)
        graph.add_edges_from((found.module, target) for target in sorted(eager))
        importers.update(every)
        edges += len(every)
    cycles = [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]
    cycles.sort(key=lambda group: (-len(group), group))
    ranked = sorted(importers.items(), key=lambda item: (-item[1], item[0]))
    return ImportSummary(
        modules=len(known),
        imports=edges,
        cycles=[ImportCycle(len(group), group[:MEMBERS_KEPT]) for group in cycles[:CYCLES_KEPT]],
        most_imported=[ImportedModule(module, count) for module, count in ranked[:IMPORTED_KEPT]],
        cpu_s=cpu_s,
    )


def _targets(module: str, names: Sequence[str], known: Collection[str]) -> set[str]:
    """The known modules among imported names; of `package.name` that is `package` where `name` is no module."""
    targets = set()
    for name in names:
        while name and name not in known:
            name = name.rpartition(".")[0]
        if name and name != module:
            targets.add(name)
    return targets


def copy_summary(modules: Sequence[ModuleFindings], *, cpu_s: float = 0.0) -> CopySummary:
    """The functions whose text stands in several places of some modules."""
    places: dict[str, list[str]] = {}
    lines: dict[str, int] = {}
    for found in modules:
        for text in found.texts:
            places.setdefault(text.digest, []).append(f"{found.module}:{text.line} {text.name}")
            lines[text.digest] = text.lines
    copied = [(lines[digest], where) for digest, where in places.items() if len(where) > 1]
    copied.sort(key=lambda item: (-item[0], item[1]))
    return CopySummary(
        groups=len(copied),
        copied_lines=sum(length * (len(where) - 1) for length, where in copied),
        worst=[CopiedFunction(length, where[:PLACES_KEPT]) for length, where in copied[:COPIES_KEPT]],
        cpu_s=cpu_s,
    )
