"""The runs of the golden journals, event by event.

`python -m tests.scheduling.golden_scenarios` writes the journals that are not there yet. A golden journal is never
written anew: what a release has written has to be read for ever. So a scenario is not changed once its journal is
there; what is new gets one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from constellation.graph import (
    AddLine,
    AddStar,
    Approval,
    EditBatch,
    Nested,
    Prompt,
    RemoveLine,
    RemoveStar,
    RetryPolicy,
    StarId,
    TaskConstellation,
    TaskStarLine,
    ToolCall,
    Trigger,
    UpdateLine,
    UpdateStar,
)
from constellation.graph.documents import dump
from constellation.scheduling import RunId, RunMachine
from constellation.scheduling import events as ev
from constellation.scheduling.events import nested_id
from constellation.scheduling.records import encode_entry

from .harness import Harness, R, star

GOLDEN = Path(__file__).parent / "golden"


def line(source: str, target: str, trigger: Trigger = Trigger.SUCCESS, when: str | None = None) -> TaskStarLine:
    return TaskStarLine(StarId(source), StarId(target), trigger, when)


def triggers(h: Harness) -> None:
    """Every trigger, met and not met; conditions that are true, false and broken; skips that spread; a mixed fan-in."""
    h.join(slots=9)
    h.start(
        *(
            star(name)
            for name in ("good", "bad", "s", "s-not", "f", "f-not", "c", "c-skipped", "w", "w-not", "w-broken")
        ),
        star("both"),
        star("data", arguments={"deep": {"$ref": "good#/rows/1/~1"}}),
        line("good", "s"),
        line("bad", "s-not"),
        line("bad", "f", Trigger.FAILURE),
        line("good", "f-not", Trigger.FAILURE),
        line("bad", "c", Trigger.COMPLETION),
        line("s-not", "c-skipped", Trigger.COMPLETION),
        line("good", "w", when="output.rows.size() == 2"),
        line("good", "w-not", when="output.rows.size() > 2"),
        line("good", "w-broken", when="output.missing"),
        line("good", "both"),
        line("bad", "both", Trigger.FAILURE),
    )
    h.succeed("good", {"rows": [1, {"/": "x"}]})
    h.fail("bad")
    for name in ("s", "f", "c", "c-skipped", "w", "both", "data"):
        h.succeed(name, name)


def attempts(h: Harness) -> None:
    """What can become of an attempt: refused, failed and tried again, lost, taken over, unknown."""
    h.join("d0", slots=2)
    h.start(
        star("refused"),
        star("flaky", retry=RetryPolicy(3, 2.0)),
        star("once", "once"),
        star("nowhere", "unheard-of"),
        star("adopted", "once"),
    )
    h.reject("refused", "no-slot")
    h.wait(1)
    h.join("d1", slots=6)
    h.reject("refused", "invalid-arguments")
    for name in ("flaky", "once", "adopted"):
        h.begun(name)
    h.fail("flaky")
    h.wait(3)
    h.fail("flaky", "Other")
    known = [h.attempt("adopted").id]
    lost = h.on("once")
    h.leave(lost)
    h.join(lost, slots=4)
    for device in ("d0", "d1"):
        h.join(device, known=tuple(known) if h.on("adopted") == device else (), slots=6)
    h.wait(20)
    for name in list(h.machine.tries):
        if h.machine.tries[name].attempt is not None:
            h.succeed(name, [name])


def overdue(h: Harness) -> None:
    """Attempts that take too long: one stops when told to, one never answers, and one may not be repeated."""
    h.join("d0", slots=3)
    h.start(
        star("slow", timeout_s=4.0),
        star("deaf", timeout_s=4.0, retry=RetryPolicy(2, 1.0)),
        star("once", "once", timeout_s=4.0),
    )
    for name in ("slow", "deaf", "once"):
        h.begun(name)
    h.wait(7)
    h.stopped("slow")
    h.join("d1", slots=1)
    h.wait(13)
    h.succeed("deaf", "at last")


def people(h: Harness) -> None:
    """Approvals granted, denied and never answered; stars and subtrees cancelled; a pause; a prompt."""
    h.join("d0", slots=3, tools={"t": True, "prompt": False})
    h.start(
        star("ask", work=Approval("Go on?", {"n": 1})),
        star("no", work=Approval("Really?")),
        star("silence", work=Approval("Anyone?"), timeout_s=5.0),
        star("think", work=Prompt("Say hello", {"to": "you"})),
        star("cut"),
        star("branch"),
        star("leaf"),
        line("branch", "leaf"),
        star("parked", work=Approval("Later?")),
        line("cut", "parked", Trigger.COMPLETION),
    )
    h.ask(ev.ApprovalAnswered, StarId("ask"), True, "ann", "fine")
    h.ask(ev.ApprovalAnswered, StarId("no"), False, "bob")
    h.wait(6)
    h.ask(ev.RunPaused)
    h.begun("cut")
    h.ask(ev.CancelRequested, StarId("cut"), False, "enough")
    h.stopped("cut")
    h.ask(ev.RunUnpaused)
    h.ask(ev.ApprovalAnswered, StarId("parked"), True)
    h.begun("branch")
    h.ask(ev.CancelRequested, StarId("branch"), True)
    h.wait(11)
    h.succeed("think", "hello")


def holds(h: Harness) -> None:
    """Reviews that end and one that is given up, a hold that someone takes, and every operation of an edit."""
    h.join(slots=3)
    h.start(star("a"), star("b"), star("c"), star("d"), line("a", "b"), line("b", "c"), review=True)
    h.ask(ev.HoldTaken, StarId("b"))
    h.succeed("a", 1)
    seen = h.graph.version
    h.edit(AddStar(star("e")), AddLine(line("a", "e")), AddLine(line("e", "c")), author="one", reason="more")
    h.handle(ev.GraphEdited(h.now, R, EditBatch((UpdateStar(star("b", priority=2)),), seen, "two")))
    h.edit(UpdateLine(line("b", "c", Trigger.COMPLETION)), RemoveLine(StarId("e"), StarId("c")))
    h.edit(AddStar(star("f")), AddLine(line("a", "f")), RemoveStar(StarId("d")))
    h.edit(RemoveStar(StarId("f")), AddStar(star("f")))
    h.stopped("d")
    h.ask(ev.HoldReleased, StarId("a"), "looked at")
    h.succeed("b", 2)
    h.ask(ev.HoldReleased, StarId("b"))
    h.ask(ev.HoldReleased, StarId("b"))
    for name in ("e", "f"):
        h.succeed(name)
        h.ask(ev.HoldReleased, StarId(name))
    h.fail("c")
    h.wait(301)


def nested(h: Harness) -> None:
    """Constellations inside constellations: inputs, a try that fails, one that takes too long."""
    deepest = TaskConstellation("deepest")
    deepest.star("x", "t", arguments={"n": {"$input": "/n"}})
    middle = TaskConstellation("middle")
    middle.star("m", Nested(dump(deepest)), arguments={"n": {"$input": "/size"}})
    flat = TaskConstellation("flat")
    flat.star("y", "t")
    h.join(slots=4)
    h.start(
        star("n", work=Nested(dump(middle), {"size": 5}), retry=RetryPolicy(2, 1.0)),
        star("late", work=Nested(dump(flat)), timeout_s=3.0, retry=RetryPolicy(2, 1.0)),
        star("after", work=ToolCall("t", {"x": {"$ref": "n#/m/x"}})),
    )
    h.fail("x", run=RunId("r:n:m"))
    h.begun("y", run=RunId("r:late"))
    h.wait(3)
    h.report(ev.AttemptCancelled, "y", run=RunId("r:late"))
    h.wait(2)
    again = nested_id(R, StarId("n"), 2)
    h.succeed("x", 7, run=nested_id(again, StarId("m")))
    h.succeed("y", 8, run=nested_id(R, StarId("late"), 2))
    h.succeed("after")


def recovered(h: Harness) -> None:
    """An orchestrator that takes over: what comes back, and what does not come back in time."""
    h.join("d0", slots=3)
    h.join("d1", slots=3)
    h.start(star("kept"), star("gone", "once"), star("again"), star("ask", work=Approval("ok?")), star("done"))
    h.succeed("done", 1)
    for name in ("kept", "gone", "again"):
        h.begun(name)
    known = h.attempt("kept").id
    device = h.on("kept")
    h.restart()
    h.join(device, known=(known,), slots=3)
    h.wait(16)
    h.ask(ev.ApprovalAnswered, StarId("ask"), True)
    h.join("d2", slots=3)
    for attempt in list(h.machine.attempts.values()):
        h.succeed(attempt.star, "late")


def deadline(h: Harness) -> None:
    """A run that takes too long, with a device that does not say that it has stopped."""
    h.join()
    h.start(star("a"), star("b"), line("a", "b"), deadline_s=5.0)
    h.begun("a")
    h.wait(20)


def cancelled(h: Harness) -> None:
    """A run that somebody ends."""
    h.join()
    h.start(star("a"), star("b"), line("a", "b"))
    h.begun("a")
    h.ask(ev.CancelRequested, None, False, "not needed any more")
    h.stopped("a")


def planned(h: Harness) -> None:
    """A planner that notes what it does, and asks people: a yes, a no, one taken back, one cut off by the end."""
    h.join(slots=3)
    h.start(star("a"), star("b"), star("c"), line("a", "c"), review=True)
    h.ask(ev.PlannerNoted, (), "planned", "two things at once", 2, 900, 120, "0.0021", 1.5)
    h.succeed("a", 1)
    h.ask(ev.ProposalMade, StarId("planner/proposal-1"), "May this be added?", {"add": ["d"]})
    h.ask(ev.ApprovalAnswered, StarId("planner/proposal-1"), True, "ann", "fine")
    h.edit(AddStar(star("d")), AddLine(line("a", "d")), author="planner", reason="more")
    h.ask(ev.PlannerNoted, (StarId("a"),), "edited", "more", 1, 500, 60, None)
    h.ask(ev.HoldReleased, StarId("a"))
    h.ask(ev.ProposalMade, StarId("planner/proposal-2"), "And this?")
    h.ask(ev.ApprovalAnswered, StarId("planner/proposal-2"), False, "bob", "no need")
    h.ask(ev.ProposalMade, StarId("planner/proposal-3"), "Then this?")
    h.handle(ev.ProposalWithdrawn(h.now, R, StarId("planner/proposal-3"), "nobody answered"))
    h.ask(ev.ProposalMade, StarId("planner/proposal-4"), "Or that?")
    h.ask(ev.CancelRequested, None, False, "enough")
    for name in ("b", "c", "d"):
        h.stopped(name)


SCENARIOS: Mapping[str, Callable[[Harness], None]] = {
    scenario.__name__: scenario
    for scenario in (triggers, attempts, overdue, people, holds, nested, recovered, deadline, cancelled, planned)
}


def played(scenario: Callable[[Harness], None]) -> Harness:
    harness = Harness()
    scenario(harness)
    return harness


def final(machine: RunMachine) -> dict[str, Any]:
    """What a journal has to lead to."""
    return {"state": machine.state, "document": dump(machine.graph)}


def main() -> None:
    for name, scenario in SCENARIOS.items():
        harness = played(scenario)
        for number, (run, machine) in enumerate(harness.scheduler.runs.items()):
            path = GOLDEN / (f"{name}.jsonl" if run == R else f"{name}-{number}.jsonl")
            if not path.exists():
                own = [encode_entry(entry) for entry in harness.entries if entry.event.run == run]
                path.write_bytes(b"\n".join(own) + b"\n")
                path.with_suffix(".final.json").write_text(json.dumps(final(machine), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
