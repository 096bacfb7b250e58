"""hypothesis chooses what happens next in a simulated world, and shrinks what goes wrong."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from constellation.testing import Faults, SimulatedWorld
from constellation.testing.disturbances import DISTURBANCES

FAULTS = Faults(until_s=30.0, disturbances_per_s=0.0, crash=0.0)


class WorldMachine(RuleBasedStateMachine):
    """Each rule is something that may happen at any moment; the checks are those of the world itself."""

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.world = SimulatedWorld(seed, faults=FAULTS)

    @rule(steps=st.integers(1, 20))
    def let_time_pass(self, steps: int) -> None:
        for _ in range(steps):
            self.world.step()

    @rule(name=st.sampled_from(sorted(DISTURBANCES)), seed=st.integers(0, 10))
    def disturb(self, name: str, seed: int) -> None:
        act, _ = DISTURBANCES[name]
        act(self.world, Random(seed))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.finish()


WorldMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_whatever_happens_next_every_invariant_holds = WorldMachine.TestCase
