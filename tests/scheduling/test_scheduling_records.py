"""Journal entries as bytes: everything comes back, and what can't be read is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from constellation.graph import AddStar, Approval, EditBatch, StarError
from constellation.scheduling import JournalEntry
from constellation.scheduling import events as ev
from constellation.scheduling.errors import InvalidOptions
from constellation.scheduling.records import decode_entry, encode_entry

from .harness import Harness, R, star

FENCE = (1.5, R, "a", "r/a/1", "d0", 3)
EVENTS = [
    ev.RunStarted(1.0, R, {"name": "x", "stars": {}}, ev.RunOptions(deadline_s=3), (R, ev.StarId("n"))),
    ev.GraphEdited(1.0, R, EditBatch((AddStar(star("x", requires={"gpu": 1})),), 3, "me", "why")),
    ev.StarAssigned(*FENCE, True),  # type: ignore[arg-type]
    ev.AttemptStarted(*FENCE),  # type: ignore[arg-type]
    ev.AttemptRejected(*FENCE, "no-slot", 'a "quoted" \n\x1b line'),  # type: ignore[arg-type]
    ev.AttemptSucceeded(*FENCE, {"deep": [1, None, 2.5, "ü", {"k": True}]}, 0.25, 7),  # type: ignore[arg-type]
    ev.AttemptFailed(*FENCE, StarError("Boom", "it broke", {"at": [1]}), 0.5),  # type: ignore[arg-type]
    ev.AttemptCancelled(*FENCE),  # type: ignore[arg-type]
    ev.AttemptLost(*FENCE, "gone"),  # type: ignore[arg-type]
    ev.AttemptAdopted(*FENCE),  # type: ignore[arg-type]
    ev.PlacementFailed(1.0, R, ev.StarId("a"), "nobody"),
    ev.TimerFired(1.0, R, "deadline"),
    ev.RunPaused(1.0, R),
    ev.RunUnpaused(1.0, R),
    ev.CancelRequested(1.0, R, ev.StarId("a"), True, "enough"),
    ev.HoldTaken(1.0, R, ev.StarId("a")),
    ev.HoldReleased(1.0, R, ev.StarId("a"), "seen"),
    ev.ApprovalAnswered(1.0, R, ev.StarId("a"), True, "ann", "ok"),
    ev.ProposalMade(1.0, R, ev.StarId("planner/proposal-1"), "May I?", {"add": ["x"]}),
    ev.ProposalWithdrawn(1.0, R, ev.StarId("planner/proposal-1"), "too late"),
    ev.PlannerNoted(1.0, R, (ev.StarId("a"),), "edited", "because", 1, 10, 5, "0.01", 0.5),
    ev.NestedEnded(1.0, R, ev.StarId("a"), {"x": 1}, StarError("E", "m")),
    ev.RunRecovered(1.0, R, True, True),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
@pytest.mark.parametrize("verdicts", [{}, {"a>b": True, "a>c": "does not parse"}])
def test_an_entry_comes_back_as_it_was(event: ev.RunEvent, verdicts: dict[str, bool | str]) -> None:
    body = encode_entry(JournalEntry(event, verdicts))
    assert decode_entry(body) == JournalEntry(event, verdicts)
    assert json.loads(body)["v"] == 1


def test_every_kind_of_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(ev.RunEvent.__args__[0].__args__)  # type: ignore[attr-defined]


def test_text_that_is_no_unicode_survives() -> None:
    event = ev.AttemptSucceeded(*FENCE, {"name": "bad \ud800 name"})  # type: ignore[arg-type]
    assert decode_entry(encode_entry(JournalEntry(event))).event == event


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"v":2,"event":{}}', "records of version 2; upgrade"),
        (b"{}", "records of version None"),
        (b"[]", "no journal record"),
        (b"\xff", "no journal record"),
        (b'{"v":1}', "no journal record"),
        (b'{"v":1,"event":{"kind":"party"}}', "party"),
    ],
)
def test_what_is_no_record_of_ours_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_entry(body)


@pytest.mark.parametrize("limit", [5, 5.0])
def test_a_limit_given_as_a_whole_number_leaves_no_trace_of_that_after_a_replay(h: Harness, limit: float) -> None:
    h.start(star("a", work=Approval("Well?"), timeout_s=limit), star("later", "nowhere"))
    h.edit(AddStar(star("b", work=Approval("And?"), timeout_s=limit)))
    h.wait(6)
    for name in ("a", "b"):
        assert h.error(name).message == "nobody answered within 5.0 s, which counts as a no"
    h.replayed()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"deadline_s": float("nan")}, "deadline_s is nan, and has to be 0 or more seconds"),
        ({"deadline_s": float("inf")}, "deadline_s is inf"),
        ({"deadline_s": -1}, "deadline_s is -1"),
        ({"deadline_s": "3"}, "deadline_s is '3'"),
        ({"cancel_grace_s": None}, "cancel_grace_s is None"),
        ({"timeout_margin_s": True}, "timeout_margin_s is True"),
        ({"review_timeout_s": float("inf")}, "review_timeout_s is inf"),
        ({"accept_s": 10**400}, "accept_s is 10{400}"),
        ({"max_losses": 1.5}, "max_losses is 1.5, and has to be 0 or more"),
        ({"max_losses": -1}, "max_losses is -1"),
        ({"review": "yes"}, "review is 'yes', and has to be true or false"),
    ],
)
def test_options_that_no_timer_or_no_record_can_hold_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidOptions, match=problem):
        ev.RunOptions(**options)
