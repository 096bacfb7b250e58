"""What a chaos run comes to: the effects that there were, against what the journal says of the run.

Pure: it is given the plan, the effects and the journal's account, and says what does not fit. The promises that are
checked are those of `docs/design/fencing.md`:

- every star ends, and one that has succeeded has had the effect of the attempt that it succeeded by;
- no star that is not idempotent has two effects, and no attempt of any star has two;
- every effect is that of an attempt which the journal knows, of the same star and on the same device, and its inputs
  are what the journal has as the results of other stars;
- a star that is not idempotent may end with its outcome unknown, and nothing else ends other than by success.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .effects import Effect
from .plan import PlannedStar

SUCCEEDED = "succeeded"

UNKNOWN = "AttemptOutcomeUnknown"
"""What the error of a star is called that may or may not have had its effect."""


@dataclass(frozen=True, slots=True)
class StarAccount:
    """What the journal says of a star.

    Attributes:
        ended: Whether it has ended.
        state: Its state.
        error: What its error is called, empty when it has none.
        attempt: What it has returned: the attempt that it succeeded by; empty where it did not succeed.
    """

    ended: bool
    state: str
    error: str = ""
    attempt: str = ""


@dataclass(frozen=True, slots=True)
class AttemptAccount:
    """What the journal says of an attempt: whose it was, and what device it was given to."""

    star: str
    device: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run comes to.

    Attributes:
        stars: How many were planned.
        ended: How many of them have ended, as the journal has it.
        effects: How many effects there were.
        attempts: How many attempts there were, as the journal has it.
        lost: Stars that have not ended, or are said to have succeeded without having had that effect.
        doubled: Stars that had an effect once too often.
        unaccounted: Effects that the journal does not account for, each with what does not fit.
        astray: Stars that ended as no star of a chaos run may, each with how.
        unknown: Stars that are not idempotent, and ended with their outcome unknown.
        unknown_with_effect: Those of them that had their effect.
        reruns: Idempotent stars that had more than one effect.
    """

    stars: int
    ended: int
    effects: int
    attempts: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    unaccounted: tuple[str, ...]
    astray: tuple[str, ...]
    unknown: tuple[str, ...]
    unknown_with_effect: tuple[str, ...]
    reruns: tuple[str, ...]

    def faults(self) -> list[str]:
        """What must not be, in words; empty for a run that has kept every promise."""
        named = (
            ("lost", self.lost),
            ("with an effect too many", self.doubled),
            ("with an effect that the journal does not account for", self.unaccounted),
            ("that ended astray", self.astray),
        )
        return [_counted(what, found) for what, found in named if found]


_SHOWN = 3


def _counted(what: str, found: tuple[str, ...]) -> str:
    more = ", …" if len(found) > _SHOWN else ""
    return f"{len(found)} star{'s' if len(found) > 1 else ''} {what} ({', '.join(found[:_SHOWN])}{more})"


def check(
    planned: Iterable[PlannedStar],
    stars: Mapping[str, StarAccount],
    attempts: Mapping[str, AttemptAccount],
    effects: Iterable[Effect],
) -> Findings:
    """Compare effects with the journal's account.

    Args:
        planned: The stars that were to be run.
        stars: The stars in the journal.
        attempts: The attempts in the journal.
        effects: What really happened.
    """
    plan = {star.id: star for star in planned}
    idempotent = {star.id for star in plan.values() if star.idempotent}
    accounts = {star: stars.get(star, _MISSING) for star in plan}
    results = {star: accounts[star].attempt for star in idempotent}
    made: defaultdict[str, list[str]] = defaultdict(list)  # by star, the attempts that had an effect
    unaccounted = []
    for effect in effects:
        made[effect.star].append(effect.attempt)
        problem = _unaccounted(effect, plan.get(effect.star), attempts, results)
        if problem:
            unaccounted.append(f"{effect.star}: {problem}")
    unknown = [star for star, account in accounts.items() if account.error == UNKNOWN and star not in idempotent]
    return Findings(
        stars=len(plan),
        ended=sum(account.ended for account in accounts.values()),
        effects=sum(map(len, made.values())),
        attempts=len(attempts),
        lost=tuple(star for star, account in accounts.items() if _is_lost(account, made[star])),
        doubled=tuple(star for star, found in made.items() if _is_doubled(found, star in idempotent)),
        unaccounted=tuple(unaccounted),
        astray=tuple(
            f"{star}: {account.state} {account.error}".rstrip()
            for star, account in accounts.items()
            if account.ended and account.state != SUCCEEDED and (star in idempotent or account.error != UNKNOWN)
        ),
        unknown=tuple(unknown),
        unknown_with_effect=tuple(star for star in unknown if made[star]),
        reruns=tuple(star for star, found in made.items() if star in idempotent and len(set(found)) > 1),
    )


_MISSING = StarAccount(ended=False, state="missing")


def _unaccounted(
    effect: Effect, star: PlannedStar | None, attempts: Mapping[str, AttemptAccount], results: Mapping[str, str]
) -> str | None:
    """Why the journal does not account for an effect; None when it does."""
    known = attempts.get(effect.attempt)
    if star is None:
        return "it was never planned"
    if known is None:
        return f"the journal has no attempt {effect.attempt}"
    if known != AttemptAccount(effect.star, effect.device):
        return f"attempt {effect.attempt} was one of {known.star} on {known.device}, not on {effect.device}"
    due = tuple(results[source] for source in star.upstream if source in results)
    if effect.inputs != due:
        return f"it was given {', '.join(effect.inputs) or 'nothing'}, and not {', '.join(due) or 'nothing'}"
    return None


def _is_lost(account: StarAccount, made: list[str]) -> bool:
    return not account.ended or (account.state == SUCCEEDED and account.attempt not in made)


def _is_doubled(made: list[str], idempotent: bool) -> bool:
    return max(Counter(made).values(), default=0) > 1 or (len(made) > 1 and not idempotent)
