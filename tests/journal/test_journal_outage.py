"""How long a store that is away is waited for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.journal.outage import FIRST_S, MOST_S, Outage


def test_waits_grow_to_a_second_and_end_with_the_patience() -> None:
    outage = Outage(100.0, patience_s=10.0)
    now, waits = 100.0, []
    while (wait := outage.next_wait_s(now, 0.999999)) is not None:
        waits.append(wait)
        now += wait
    assert waits[0] == pytest.approx(FIRST_S, rel=0.01)
    assert all(later >= earlier for earlier, later in pairwise(waits[:-1]))
    assert max(waits) == pytest.approx(MOST_S, rel=0.01)
    assert sum(waits) == pytest.approx(10.0)
    assert outage.failures == len(waits)


@given(st.floats(0, 300), st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 40)), max_size=50))
def test_it_is_given_up_when_its_time_is_up_and_never_before(
    patience_s: float, tries: list[tuple[float, float]]
) -> None:
    outage = Outage(7.0, patience_s=patience_s)
    now = 7.0
    for unit, took_s in tries:
        now += took_s
        wait_s = outage.next_wait_s(now, unit)
        assert (wait_s is None) == (7.0 + patience_s - now <= 0)
        if wait_s is None:
            break
        assert 0 <= wait_s <= MOST_S
        now += wait_s
        assert now <= 7.0 + patience_s + 1e-9


def test_without_patience_there_is_no_second_wait() -> None:
    assert Outage(5.0, patience_s=0.0).next_wait_s(5.0, 0.5) is None
