"""Fake devices keep to the rules of real ones, however they behave."""

from __future__ import annotations

from random import Random
from typing import Any

from constellation.testing import Behaviour, FakeDevice
from constellation.testing.device import LIE
from constellation_protocol.messages import Accept, Assign, Cancel, Drain, Reject, Result, ToolWork

RNG = Random(0)


def assign(attempt: str, *, star: str = "s") -> Assign:
    return Assign(run="r", star=star, attempt=attempt, epoch=1, work=ToolWork(tool="pure"))


def device(**fields: Any) -> FakeDevice:
    made = FakeDevice("d", **fields)
    assert made.joined(1) == []
    return made


def take(fake: FakeDevice, attempt: str, behaviour: Behaviour = Behaviour.SUCCEEDS) -> list[Any]:
    said, _ = fake.take(assign(attempt), lambda: behaviour)
    return said


def test_work_that_is_taken_ends_in_one_result_that_is_kept_until_it_is_acknowledged() -> None:
    fake = device(work=lambda tool, arguments: tool)
    assert take(fake, "r/s/1") == [Accept(attempt="r/s/1", epoch=1)]
    result = fake.succeed("r/s/1", RNG)
    assert result is not None
    assert (result.output, fake.succeed("r/s/1", RNG), fake.effects["r/s/1"]) == ("pure", None, 1)
    assert fake.hello().finished == ("r/s/1",)
    again = fake.joined(7)
    assert [(message.kind, message.epoch) for message in again if isinstance(message, Result)] == [("result", 7)]
    fake.acknowledged([result])
    assert (fake.joined(8), fake.hello().finished) == ([], ())


def test_nothing_is_begun_twice() -> None:
    fake = device(slots=3)
    take(fake, "r/s/1")
    assert take(fake, "r/s/1")[0].code == "duplicate"
    fake.joined(2)
    assert take(fake, "r/s/1") == [Accept(attempt="r/s/1", epoch=2)]
    result = fake.succeed("r/s/1", RNG)
    assert take(fake, "r/s/1") == [result]
    assert result is not None
    fake.acknowledged([result])
    (refused,) = take(fake, "r/s/1")
    assert isinstance(refused, Reject)
    assert (refused.code, fake.effects["r/s/1"]) == ("duplicate", 1)


def test_a_full_a_draining_and_a_choosy_device_refuse() -> None:
    fake = device(slots=1)
    take(fake, "r/s/1")
    assert take(fake, "r/s/2")[0].code == "no-slot"
    assert fake.cancel(Cancel(attempt="r/s/1", epoch=1)) is not None
    assert fake.cancel(Cancel(attempt="r/s/1", epoch=1)) is None
    assert take(fake, "r/s/3", Behaviour.REJECTS)[0].code == "invalid-arguments"
    assert take(fake, "r/s/4", Behaviour.IGNORES) == []
    fake.draining = True
    assert take(fake, "r/s/5")[0].code == "draining"
    assert fake.joined(2)[0] == Drain(reason="going")


def test_a_script_comes_before_chance() -> None:
    fake = FakeDevice("d", slots=9, script={"s": [Behaviour.HANGS, Behaviour.FAILS]})
    chosen = [fake.take(assign(f"r/s/{number}"), lambda: Behaviour.LIES)[1] for number in (1, 2, 3)]
    assert chosen == [Behaviour.HANGS, Behaviour.FAILS, Behaviour.LIES]


def test_a_device_that_dies_does_not_know_how_far_its_work_came() -> None:
    effects = set()
    for seed in range(20):
        fake = device()
        take(fake, "r/s/1")
        fake.die(Random(seed), forget=False)
        (kept,) = fake.kept.values()
        assert kept.error is not None
        assert (kept.error.type, fake.hello().running) == ("AttemptOutcomeUnknown", ())
        effects.add(fake.effects["r/s/1"])
    assert effects == {0, 1}


def test_a_device_that_forgets_comes_back_under_another_name_of_its_memory() -> None:
    fake = device()
    before = fake.hello().memory
    take(fake, "r/s/1")
    fake.die(RNG, forget=True)
    assert fake.hello().memory != before
    assert (fake.hello().finished, take(fake, "r/s/1")) == ((), [Accept(attempt="r/s/1", epoch=1)])


def test_lies_are_about_what_is_not_the_device_s_own_present_work() -> None:
    fake, other = device(), FakeDevice("e")
    other.joined(1)
    take(other, "r/t/1")
    take(fake, "r/s/1")
    truth = fake.succeed("r/s/1", RNG)
    assert truth is not None
    told = [lie for seed in range(50) for lie in fake.lies(truth, [fake, other], Random(seed))]
    assert all(lie.output == LIE for lie in told)
    assert {(lie.attempt, lie.epoch) for lie in told} == {
        ("r/s/1", 0), ("r/s/1", 1), ("r/s/1", 2), ("r/s/99", 1), ("no-such-run/s0/1", 1), ("r/t/1", 1),
    }  # fmt: skip


def test_work_takes_as_long_as_was_said() -> None:
    assert FakeDevice("d", takes_s=3.0).takes_s(RNG) == 3.0
    assert 1.0 <= FakeDevice("d", takes_s=(1.0, 2.0)).takes_s(RNG) <= 2.0
