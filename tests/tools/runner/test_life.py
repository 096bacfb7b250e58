"""The life of a call and who may run: pure machines, checked against rules that are said in another way."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from constellation_tools.runner import CallState
from constellation_tools.runner.admission import Admission, Seat
from constellation_tools.runner.life import TRANSITIONS, CallLife, ImpossibleStep, Step

SETTLED = {CallState.COMPLETED, CallState.FAILED, CallState.REFUSED, CallState.CANCELLED}


class LifeMachine(RuleBasedStateMachine):
    """Any steps at any time: a call ends once, and keeps how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.life = CallLife()
        self.now = 0.0
        self.ended: CallState | None = None
        self.starts = 0
        self.ran = 0.0

    @rule(step=st.sampled_from(Step), passed=st.floats(0, 10))
    def take(self, step: Step, passed: float) -> None:
        """Take a step if the table has it, and see that it can't be taken otherwise."""
        if self.life.state is CallState.RUNNING:
            self.ran += passed
        self.now += passed
        before, late = self.life.state, self.life.late
        if before in SETTLED:
            assert not self.life.take(step, self.now)
            assert (self.life.state, self.life.late) == (before, late + 1)
        elif step not in TRANSITIONS[before]:
            with pytest.raises(ImpossibleStep):
                self.life.take(step, self.now)
            assert self.life.state is before
        else:
            assert self.life.take(step, self.now)
            self.starts += step is Step.START
            if self.life.state in SETTLED:
                assert self.ended is None
                self.ended = self.life.state

    @invariant()
    def ends_once(self) -> None:
        """How it has ended never changes."""
        assert self.life.state.settled == (self.ended is not None)
        assert self.ended in (None, self.life.state)
        assert self.life.tries == self.starts

    @invariant()
    def waiting_is_not_running(self) -> None:
        """Only time between a start and what follows it counts."""
        if self.life.state is not CallState.RUNNING:
            assert self.life.running_s == pytest.approx(self.ran)


TestLife = LifeMachine.TestCase


def test_every_state_can_be_cancelled_and_reached() -> None:
    assert all(Step.CANCEL in steps for steps in TRANSITIONS.values())
    reached = {CallState.RECEIVED, *(state for steps in TRANSITIONS.values() for state in steps.values())}
    assert reached == set(CallState)
    assert {state for state in CallState if state.settled} == SETTLED
    assert set(TRANSITIONS) == set(CallState) - SETTLED


def test_states_are_said_as_mcp_says_them() -> None:
    assert {state.task_status for state in CallState} == {
        "working",
        "input_required",
        "completed",
        "failed",
        "cancelled",
    }


class AdmissionMachine(RuleBasedStateMachine):
    """Calls come, become ready, run and go in any order; a list of them says what must hold."""

    @initialize(most=st.integers(1, 4))
    def begin(self, most: int) -> None:
        """Have some seats."""
        self.admission = Admission(most)
        self.most = most
        self.order: list[Seat] = []
        self.ready: set[int] = set()
        self.running: set[int] = set()
        self.keys = 0

    @rule(tool=st.sampled_from("abX"), limit=st.sampled_from([None, 1, 2]), ready=st.booleans())
    def come(self, tool: str, limit: int | None, ready: bool) -> None:
        """A call comes; X has to be alone."""
        self.keys += 1
        seat = Seat(self.keys, tool, tool == "X", limit)
        self.order.append(seat)
        if ready:
            self.ready.add(seat.key)
            self.note(self.admission.ask(seat))
        else:
            self.admission.reserve(seat)

    @precondition(lambda self: any(seat.key not in self.ready for seat in self.order))
    @rule(data=st.data())
    def become_ready(self, data: st.DataObject) -> None:
        """A call that had reserved a seat may run now."""
        seat = data.draw(st.sampled_from([seat for seat in self.order if seat.key not in self.ready]))
        self.ready.add(seat.key)
        self.note(self.admission.ask(seat))

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A call has ended, or was cancelled."""
        seat = data.draw(st.sampled_from(self.order))
        self.order.remove(seat)
        self.ready.discard(seat.key)
        self.running.discard(seat.key)
        self.note(self.admission.leave(seat.key))

    def note(self, started: list[int]) -> None:
        """Calls have been let in: each was ready, none twice."""
        assert not self.running & set(started)
        assert set(started) <= self.ready
        self.running |= set(started)

    @invariant()
    def keeps_limits_and_lets_in_whom_it_can(self) -> None:
        """Limits hold, exclusive calls are alone, and nobody waits who need not."""
        if not hasattr(self, "admission"):
            return
        running = [seat for seat in self.order if seat.key in self.running]
        assert (self.admission.running, self.admission.waiting) == (len(running), len(self.order) - len(running))
        assert len(running) <= self.most
        assert len(running) == 1 or not any(seat.exclusive for seat in running)
        by_tool = Counter(seat.tool for seat in running)
        blocked = False
        for seat in self.order:
            if seat.key in self.running:
                assert not blocked or not seat.exclusive
                continue
            full = len(running) >= self.most or any(each.exclusive for each in running)
            own = seat.limit is not None and by_tool[seat.tool] >= seat.limit
            must_wait = full or own or seat.key not in self.ready or (seat.exclusive and (running or blocked))
            assert must_wait, f"{seat} could run"
            if seat.exclusive:
                return  # all behind it wait for it
            blocked = blocked or seat.key not in self.ready


TestAdmission = AdmissionMachine.TestCase


def test_an_exclusive_call_waits_for_those_before_it_that_are_not_ready() -> None:
    admission = Admission(8)
    admission.reserve(Seat(1, "slow"))
    assert admission.ask(Seat(2, "alone", exclusive=True)) == []
    assert admission.ask(Seat(3, "after")) == []
    assert admission.ask(Seat(1, "slow")) == [1]
    assert admission.leave(1) == [2]
    assert admission.leave(2) == [3]


@given(st.integers(max_value=0))
def test_a_runner_without_seats_is_refused(most: int) -> None:
    with pytest.raises(ValueError, match="at least 1 call"):
        Admission(most)
