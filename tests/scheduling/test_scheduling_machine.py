"""hypothesis chooses what happens next in the simulated world, and shrinks what goes wrong."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from .world import World


class WorldMachine(RuleBasedStateMachine):
    """Each rule is something that may happen at any moment; the checks are those of the world and of validate mode."""

    @initialize(seed=st.integers(0, 10_000), stars=st.integers(0, 8))
    def begin(self, seed: int, stars: int) -> None:
        self.world = World(seed, stars=stars, devices=2, faults_until=1e9)

    @rule(steps=st.integers(1, 12))
    def let_time_pass(self, steps: int) -> None:
        for _ in range(steps):
            if not self.world.waits_for_people:
                self.world.step()

    @rule()
    def edit(self) -> None:
        self.world.edit_any()

    @rule()
    def break_a_link(self) -> None:
        self.world.break_link()

    @rule()
    def kill_a_device(self) -> None:
        self.world.kill()

    @rule()
    def drain_a_device(self) -> None:
        self.world.drain()

    @rule()
    def crash(self) -> None:
        self.world.crash_now()

    @rule()
    def pause(self) -> None:
        self.world.pause()

    @rule()
    def unpause(self) -> None:
        self.world.unpause()

    @rule()
    def hold(self) -> None:
        self.world.hold()

    @rule()
    def unhold(self) -> None:
        self.world.unhold()

    @rule()
    def cancel(self) -> None:
        self.world.cancel_something()

    @invariant()
    def journals_give_the_live_state(self) -> None:
        if hasattr(self, "world"):
            self.world.check_journals()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.faults_until = self.world.now
            self.world.run()


WorldMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
test_whatever_happens_next_every_invariant_holds = WorldMachine.TestCase
