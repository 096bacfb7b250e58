"""Virtual time: what is due happens in order, and only when time is told to go on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from constellation.testing import VirtualClock


def test_what_is_due_at_one_instant_happens_in_the_order_in_which_it_was_asked_for() -> None:
    clock, done = VirtualClock(), []
    for name in "abc":
        clock.at(1.0, done.append, name)
    clock.at(0.5, done.append, "first")
    clock.run_until(1.0)
    assert done == ["first", "a", "b", "c"]


def test_nothing_happens_before_its_time_and_the_clock_tells_the_time_of_what_happens() -> None:
    clock = VirtualClock(100.0)
    told: list[float] = []
    clock.after(2.0, lambda: told.append(clock()))
    clock.run_until(101.9)
    assert (told, clock.now) == ([], 101.9)
    clock.run_until(200.0)
    assert (told, clock.now) == ([102.0], 200.0)


def test_what_is_put_on_the_agenda_meanwhile_happens_too() -> None:
    clock, done = VirtualClock(), []
    clock.at(1.0, lambda: clock.after(1.0, done.append, "later"))
    clock.run_until(2.0)
    assert done == ["later"]


def test_an_instant_that_has_passed_means_now() -> None:
    clock = VirtualClock(10.0)
    alarm = clock.at(3.0, lambda: None)
    assert alarm.due_at == 10.0
    assert clock.step()
    assert clock.now == 10.0


def test_an_alarm_that_was_cancelled_does_not_ring_and_leaves_nothing_to_wait_for() -> None:
    clock, done = VirtualClock(), []
    alarm = clock.at(1.0, done.append, "never")
    assert alarm.pending
    alarm.cancel()
    assert (alarm.pending, clock.next_at, clock.step()) == (False, None, False)
    assert done == []


@given(st.lists(st.floats(0, 100)))
def test_time_never_goes_back(instants: list[float]) -> None:
    clock, told = VirtualClock(), []
    for instant in instants:
        clock.at(instant, lambda: told.append(clock.now))
    while clock.step():
        pass
    assert told == sorted(instants)
