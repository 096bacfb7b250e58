"""Analysis and drawings of whole graphs, with networkx and brute force as oracles, and literal drawings."""

from __future__ import annotations

from itertools import combinations, pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from constellation.graph import (
    Approval,
    EditBatch,
    Outcome,
    Prompt,
    RemoveLine,
    StarId,
    StarState,
    TaskConstellation,
    analysis,
    render,
)
from constellation.graph.invariants import check_invariants
from constellation.graph.order import PlainOrder


@st.composite
def dags(draw: st.DrawFn) -> TaskConstellation:
    graph = TaskConstellation("dag")
    count = draw(st.integers(0, 9))
    stars = [graph.star(f"s{index}", "t") for index in range(count)]
    for source, target in combinations(draw(st.permutations(range(count))), 2):
        if draw(st.booleans()):
            graph.line(stars[source], stars[target])
    return graph


@settings(max_examples=80, deadline=None)
@given(graph=dags(), data=st.data())
def test_analysis_agrees_with_networkx_and_brute_force(graph: TaskConstellation, data: st.DataObject) -> None:
    oracle = analysis.to_networkx(graph)
    assert analysis.layers(graph) == [
        sorted(layer, key=graph.in_order().index) for layer in nx.topological_generations(oracle)
    ]
    assert analysis.width(graph) == max((len(chain) for chain in nx.antichains(oracle)), default=0)
    assert {(line.source, line.target) for line in analysis.transitive_reduction(graph)} == set(
        nx.transitive_reduction(oracle).edges
    )
    path, length = analysis.critical_path(graph)
    assert length == len(path) == (nx.dag_longest_path_length(oracle) + 1 if len(graph) else 0)
    assert all(oracle.has_edge(*step) for step in pairwise(path))
    durations = {star: float(data.draw(st.integers(0, 9))) for star in graph}
    path, length = analysis.critical_path(graph, durations)
    assert length == sum(durations[star] for star in path)
    for source, target, data_of in oracle.edges(data=True):
        data_of["weight"] = durations[StarId(source)] + (0 if oracle.out_degree(target) else durations[StarId(target)])
    alone = max(durations.values(), default=0.0)
    assert length == max(alone, nx.dag_longest_path_length(oracle))


def test_durations_that_are_not_known_count_nothing() -> None:
    graph = TaskConstellation("g")
    a = graph.star("a", "t")
    graph.star("b", "t", after=[a])
    graph.star("c", "t")
    assert analysis.critical_path(graph, {StarId("c"): 3.0}) == (["c"], 3.0)


def test_the_width_of_a_very_large_graph_is_that_of_its_largest_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = TaskConstellation("g")
    graph.star("d", "t", after=[graph.star("c", "t", after=[graph.star("a", "t")])])
    graph.star("b", "t", after=["a"])
    graph.star("e", "t", after=["a"])
    assert analysis.width(graph) == 3
    monkeypatch.setattr(analysis, "EXACT_WIDTH_LIMIT", 4)
    assert analysis.width(graph) == 3


def sample() -> TaskConstellation:
    graph = TaskConstellation("nightly build")
    fetch = graph.star("fetch", "git.fetch")
    build = graph.star("build", Prompt("Build it"), after=[fetch])
    inner = TaskConstellation("inner")
    inner.star("x", "t")
    tests = graph.star("tests", inner, after=[build])
    release = graph.star("release", Approval("Release?"))
    graph.line(tests, release, when='output.x > "1"')
    graph.line(fetch, release, "completion")
    graph.line(build, graph.star('say "sorry" <b>`#;|[x]\x1b[31m\n\u202e', "mail"), "failure")
    graph.activate()
    graph.enter(fetch.id, StarState.RUNNING)
    graph.settle(fetch.id, StarState.SUCCEEDED, Outcome())
    return graph


def test_what_blocks_each_star_is_said_in_words() -> None:
    graph = sample()
    assert analysis.blocked(graph) == {
        "build": "is ready and waits for a device",
        "tests": "waits for 'build' (ready)",
        "release": "waits for 'tests' (pending)",
        "say-sorry-b-x-31m": "waits for 'build' (ready)",
    }
    graph.enter(StarId("build"), StarState.ASSIGNED)
    assert analysis.blocked(graph)["build"] == "was given to a device and has not started"
    graph.enter(StarId("build"), StarState.RUNNING)
    assert analysis.blocked(graph)["build"] == "is running"
    graph.hold(StarId("build"))
    graph.settle(StarId("build"), StarState.SUCCEEDED, Outcome())
    assert analysis.blocked(graph)["tests"] == "waits for the review of 'build'"


def test_blocked_names_a_few_stars_and_counts_the_rest() -> None:
    graph = TaskConstellation("g")
    graph.star("z", "t", after=[graph.star(f"s{index}", "t") for index in range(8)])
    assert analysis.blocked(graph)["s0"] == "waits for the run to begin"
    graph.activate()
    assert analysis.blocked(graph)["z"].endswith("'s4' (ready) and 3 more")


def test_an_approval_that_runs_waits_for_a_person() -> None:
    graph = TaskConstellation("g")
    graph.star("ok", Approval("OK?"))
    graph.activate()
    graph.enter(StarId("ok"), StarState.RUNNING)
    assert analysis.blocked(graph) == {"ok": "waits for a person's answer"}


def test_a_graph_in_figures() -> None:
    assert analysis.summary(sample()) == analysis.Summary(
        stars=5,
        lines=5,
        states={"succeeded": 1, "ready": 1, "pending": 3},
        roots=1,
        leaves=2,
        depth=4,
        width=2,
    )


@pytest.mark.parametrize(
    ("intervals", "width"),
    [
        ([], 0),
        ([(0, 1), (1, 2)], 1),
        ([(0, 2), (1, 3), (1, 2)], 3),
        ([(0, 0)], 1),
        ([(0, 2), (1, 1)], 2),
        ([(0, 1), (1, 1), (1, 2)], 2),
    ],
)
def test_executed_width_is_the_most_that_overlap(intervals: list[tuple[float, float]], width: int) -> None:
    assert analysis.executed_width(intervals) == width


def test_an_interval_can_not_end_before_it_starts() -> None:
    with pytest.raises(ValueError, match="the interval from 2 to 1 ends before it starts"):
        analysis.executed_width([(2, 1)])


# --- drawings --------------------------------------------------------------------------------------------------------

MERMAID = """\
flowchart TD
  n0["✓ fetch"]:::succeeded
  n1("◔ build"):::ready
  n2[["○ tests"]]:::pending
  n3{"○ release"}:::pending
  n4["○ say #34;sorry#34; #60;b#62;#96;#35;#59;#124;#91;x#93;�#91;31m �"]:::pending
  n0 --> n1
  n0 -->|"completion"| n3
  n1 --> n2
  n1 -.->|"failure"| n4
  n2 -->|"when output.x #62; #34;1#34;"| n3
  classDef pending fill:#eeeeee,color:#111
  classDef ready fill:#d0f0f7,color:#111
  classDef succeeded fill:#c4ecc7,color:#111
"""

DOT = """\
digraph "nightly build" {
  node [style=filled, fontname=sans];
  "fetch" [label="✓ fetch", shape=box, fillcolor="#c4ecc7"];
  "build" [label="◔ build", shape=ellipse, fillcolor="#d0f0f7"];
  "tests" [label="○ tests", shape=box3d, fillcolor="#eeeeee"];
  "release" [label="○ release", shape=diamond, fillcolor="#eeeeee"];
  "say-sorry-b-x-31m" [label="○ say \\"sorry\\" <b>`#;|[x]�[31m �", shape=box, fillcolor="#eeeeee"];
  "fetch" -> "build";
  "fetch" -> "release" [label="completion", style=dashed];
  "build" -> "tests";
  "build" -> "say-sorry-b-x-31m" [label="failure", style=dashed];
  "tests" -> "release" [label="when output.x > \\"1\\"", style=dashed];
}
"""

TEXT = """\
nightly build (3 pending, 1 ready, 1 succeeded)
└── ✓ fetch
    └── ◔ build
        ├── ○ tests
        │   └── ○ release  [when output.x > "1", after fetch (completion)]
        └── ○ say "sorry" <b>`#;|[x]�[31m �  [on failure]
"""


def test_a_graph_is_drawn_as_mermaid() -> None:
    assert render.to_mermaid(sample()) == MERMAID


def test_a_graph_is_drawn_as_dot() -> None:
    assert render.to_dot(sample()) == DOT


def test_a_graph_is_drawn_as_plain_text() -> None:
    assert render.to_text(sample()) == TEXT


def test_the_tree_of_a_terminal_shows_the_same_as_plain_text() -> None:
    console = Console(width=120, color_system=None, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(render.to_tree(sample()))
    assert [line.rstrip() for line in capture.get().splitlines()] == TEXT.splitlines()


@settings(max_examples=60)
@given(name=st.text())
def test_no_name_reaches_the_terminal_or_breaks_a_drawing(name: str) -> None:
    graph = TaskConstellation(name)
    graph.star(name, "t", id="a")
    mermaid, dot, text = render.to_mermaid(graph), render.to_dot(graph), render.to_text(graph)
    assert [len(drawing.splitlines()) for drawing in (mermaid, dot, text)] == [3, 4, 2]
    assert all(line.isprintable() for drawing in (mermaid, dot, text) for line in drawing.splitlines())
    assert mermaid.splitlines()[1].count('"') == 2


def test_what_a_large_graph_has_over_the_limit_is_counted() -> None:
    graph = TaskConstellation("large")
    stars = [graph.star(f"s{index}", "t") for index in range(30)]
    for source in stars[:25]:
        for target in stars[25:]:
            graph.line(source, target)
    assert 'more["… and 20 more stars"]' in render.to_mermaid(graph, limit=10)
    assert '"… and 20 more stars" [shape=plaintext, style=solid];' in render.to_dot(graph, limit=10)
    assert render.to_text(graph, limit=10).splitlines()[-1] == "└── … and 20 more stars"
    console = Console(width=80)
    with console.capture() as capture:
        console.print(render.to_tree(graph, limit=10))
    assert capture.get().splitlines()[-1].rstrip() == "└── … and 20 more stars"
    assert "[after s0, after s1, after s2, after s3, and 20 more]" in render.to_text(graph)


def test_mermaid_shows_no_more_lines_than_its_renderers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "MERMAID_LINES", 2)
    assert 'more["… and 3 more lines"]' in render.to_mermaid(sample())


def test_a_long_chain_is_indented_only_so_far() -> None:
    graph = TaskConstellation("chain")
    for index in range(100):
        graph.star(f"s{index}", "t", after=[f"s{index - 1}"] if index else ())
    lines = render.to_text(graph).splitlines()
    assert len(lines) == 101
    assert max(line.index("○") for line in lines[1:]) == 4 * render.TREE_DEPTH


def test_long_names_are_cut() -> None:
    assert render.clean("x" * 100) == "x" * 59 + "…"
    assert render.clean("x" * 60) == "x" * 60


def test_an_empty_graph_can_be_drawn() -> None:
    graph = TaskConstellation("empty")
    assert render.to_mermaid(graph) == "flowchart TD\n"
    assert render.to_text(graph) == "empty (no stars)\n"


# --- invariants ------------------------------------------------------------------------------------------------------


def test_invariants_tell_what_differs() -> None:
    graph = sample()
    check_invariants(graph)
    node = graph._nodes[StarId("release")]
    node.unresolved += 1
    with pytest.raises(AssertionError, match="unresolved of 'release': the graph has 2, and it should be 1"):
        check_invariants(graph)
    node.unresolved -= 1
    graph.counts[StarState.READY] += 1
    with pytest.raises(AssertionError, match="counts: the graph has"):
        check_invariants(graph)
    graph.counts[StarState.READY] -= 1
    first, second = graph._nodes[StarId("fetch")].slot, graph._nodes[StarId("build")].slot
    graph._order.disconnect(first, second)
    with pytest.raises(AssertionError, match="what the order has behind 'fetch': the graph has"):
        check_invariants(graph)
    order = PlainOrder()
    for node in graph._nodes.values():
        node.slot = order.append(node.serial)
    for node in graph._nodes.values():
        for edge in node.outbound.values():
            order.connect(node.slot, edge.target.slot)
    graph._order = order
    check_invariants(graph)
    first = graph._nodes[StarId("fetch")].slot
    order._unlink(first)
    order._put_after(order._before[0], [first])
    with pytest.raises(AssertionError, match="the order has line 'fetch' → 'build' backwards"):
        check_invariants(graph)


def test_invariants_see_a_cycle() -> None:
    graph = sample()
    first, last = graph._nodes[StarId("fetch")], graph._nodes[StarId("build")]
    edge = first.outbound.pop(StarId("build"))
    last.outbound[StarId("fetch")] = edge
    graph.apply(EditBatch((RemoveLine(StarId("fetch"), StarId("release")),)))
    with pytest.raises(AssertionError):
        check_invariants(graph)
