"""The comparison of effects with the journal's account: whatever is planted is found, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from constellation_bench.chaos.check import AttemptAccount, Findings, StarAccount, check
from constellation_bench.chaos.effects import Effect
from constellation_bench.chaos.plan import PlannedStar

PLAN = [
    PlannedStar("once", "t", idempotent=False, upstream=(), work_s=0.0),
    PlannedStar("again", "t", idempotent=True, upstream=(), work_s=0.0),
    PlannedStar("last", "t", idempotent=True, upstream=("once", "again"), work_s=0.0),
]
STARS = {star.id: StarAccount(True, "succeeded", attempt=f"r/{star.id}/1") for star in PLAN}
ATTEMPTS = {f"r/{star.id}/1": AttemptAccount(star.id, "d1") for star in PLAN}
ONCE = Effect("once", "r/once/1", "d1")
AGAIN = Effect("again", "r/again/1", "d1")
LAST = Effect("last", "r/last/1", "d1", inputs=("r/again/1",))
EFFECTS = [ONCE, AGAIN, LAST]
SECOND = ATTEMPTS | {"r/once/2": AttemptAccount("once", "d2"), "r/again/2": AttemptAccount("again", "d2")}


def found(findings: Findings) -> dict[str, tuple[str, ...]]:
    """What there is of what must not be."""
    kinds = ("lost", "doubled", "unaccounted", "astray")
    return {kind: value for kind in kinds if (value := getattr(findings, kind))}


def test_a_run_that_went_well_has_no_faults() -> None:
    findings = check(PLAN, STARS, ATTEMPTS, EFFECTS)
    assert (findings.stars, findings.ended, findings.effects, findings.attempts) == (3, 3, 3, 3)
    assert (findings.unknown, findings.reruns) == ((), ())
    assert findings.faults() == []


@pytest.mark.parametrize(
    "account",
    [
        StarAccount(False, "pending"),
        StarAccount(False, "running"),
        StarAccount(True, "succeeded", attempt="r/once/2"),
    ],
    ids=["never begun", "never ended", "another attempt had the effect"],
)
def test_a_star_that_was_lost_is_found(account: StarAccount) -> None:
    findings = check(PLAN, STARS | {"once": account}, SECOND, EFFECTS)
    assert found(findings) == {"lost": ("once",)}
    assert findings.ended == 2 + account.ended
    assert findings.faults() == ["1 star lost (once)"]


def test_a_star_that_the_journal_does_not_have_is_lost() -> None:
    stars = {star: account for star, account in STARS.items() if star != "once"}
    assert found(check(PLAN, stars, ATTEMPTS, EFFECTS)) == {"lost": ("once",)}


def test_a_star_that_succeeded_without_an_effect_is_lost() -> None:
    assert found(check(PLAN, STARS, ATTEMPTS, [AGAIN, LAST])) == {"lost": ("once",)}


def test_two_effects_of_a_star_that_is_not_idempotent_are_found() -> None:
    twice = [*EFFECTS, Effect("once", "r/once/2", "d2")]
    assert found(check(PLAN, STARS, SECOND, twice)) == {"doubled": ("once",)}


@pytest.mark.parametrize("effect", [ONCE, AGAIN], ids=["not idempotent", "idempotent"])
def test_two_effects_of_one_attempt_are_found_whatever_the_star_says(effect: Effect) -> None:
    assert found(check(PLAN, STARS, ATTEMPTS, [*EFFECTS, effect])) == {"doubled": (effect.star,)}


def test_an_idempotent_star_that_ran_twice_is_counted_and_no_fault() -> None:
    findings = check(PLAN, STARS, SECOND, [*EFFECTS, Effect("again", "r/again/2", "d2")])
    assert findings.reruns == ("again",)
    assert findings.faults() == []


@pytest.mark.parametrize(
    ("effect", "problem"),
    [
        (replace(AGAIN, attempt="r/again/7"), "again: the journal has no attempt r/again/7"),
        (replace(AGAIN, device="d2"), "again: attempt r/again/1 was one of again on d1, not on d2"),
        (replace(AGAIN, star="stranger"), "stranger: it was never planned"),
        (replace(LAST, inputs=("r/again/2",)), "last: it was given r/again/2, and not r/again/1"),
        (replace(LAST, inputs=()), "last: it was given nothing, and not r/again/1"),
    ],
)
def test_an_effect_that_the_journal_does_not_account_for_is_found(effect: Effect, problem: str) -> None:
    others = [other for other in EFFECTS if other.attempt != effect.attempt]
    findings = check(PLAN, STARS, ATTEMPTS, [*others, effect])
    assert findings.unaccounted == (problem,)
    assert any("does not account for" in fault for fault in findings.faults())


def test_an_effect_under_the_attempt_of_another_star_is_found() -> None:
    findings = check(PLAN, STARS, ATTEMPTS, [*EFFECTS, replace(AGAIN, attempt="r/once/1")])
    assert findings.unaccounted == ("again: attempt r/once/1 was one of once on d1, not on d1",)


@pytest.mark.parametrize(("effects", "with_effect"), [(EFFECTS, ("once",)), ([AGAIN, LAST], ())])
def test_a_star_that_is_not_idempotent_may_end_with_its_outcome_unknown(
    effects: list[Effect], with_effect: tuple[str, ...]
) -> None:
    unknown = StarAccount(True, "failed", error="AttemptOutcomeUnknown")
    findings = check(PLAN, STARS | {"once": unknown}, ATTEMPTS, effects)
    assert (findings.unknown, findings.unknown_with_effect) == (("once",), with_effect)
    assert findings.faults() == []


@pytest.mark.parametrize(
    ("star", "account", "how"),
    [
        ("once", StarAccount(True, "failed", error="DeviceLost"), "once: failed DeviceLost"),
        ("again", StarAccount(True, "failed", error="AttemptOutcomeUnknown"), "again: failed AttemptOutcomeUnknown"),
        ("last", StarAccount(True, "skipped"), "last: skipped"),
    ],
)
def test_a_star_that_ended_as_none_may_is_found(star: str, account: StarAccount, how: str) -> None:
    effects = [effect for effect in EFFECTS if effect.star == "once"] if star == "again" else EFFECTS
    findings = check(PLAN, STARS | {star: account}, ATTEMPTS, effects)
    assert findings.astray == (how,)
    assert any("ended astray" in fault for fault in findings.faults())


def test_of_many_faults_of_one_kind_some_are_named() -> None:
    plan = [PlannedStar(f"s{number}", "t", idempotent=True, upstream=(), work_s=0.0) for number in range(5)]
    assert check(plan, {}, {}, []).faults() == ["5 stars lost (s0, s1, s2, …)"]
