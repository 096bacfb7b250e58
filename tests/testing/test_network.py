"""The simulated network: order, loss, partitions, and who is told what."""

from __future__ import annotations

import pytest

from constellation.testing.faults import Faults, Scene
from constellation.testing.network import End, Network


class Wired:
    """A connection of one device, and what has arrived at either end."""

    def __init__(self, seed: int = 0, *, hostile: bool = False) -> None:
        self.scene = Scene(seed, Faults(hostile=1.0 if hostile else 0.0))
        self.network = Network(self.scene)
        self.network.accept = self._accepted
        self.arrived: dict[str, list[object]] = {"device": [], "hub": []}
        self.lost: list[str] = []
        device = self.network.connect("d")
        assert device is not None
        self.device = self._listen("device", device)

    def _accepted(self, end: End) -> None:
        self.hub = self._listen("hub", end)

    def _listen(self, name: str, end: End) -> End:
        end.on_frame = self.arrived[name].append
        end.on_lost = lambda: self.lost.append(name)
        return end

    def wait(self, seconds: float = 1.0) -> None:
        self.scene.clock.run_until(self.scene.clock.now + seconds)


def test_frames_arrive_in_order_each_way() -> None:
    wired = Wired()
    for number in range(50):
        wired.device.send(f"{number}")
        wired.hub.send(f"{-number}")
    wired.wait()
    assert wired.arrived == {"hub": [f"{n}" for n in range(50)], "device": [f"{-n}" for n in range(50)]}


def test_a_hostile_network_repeats_and_reorders_but_makes_nothing_up() -> None:
    wired = Wired(hostile=True)
    sent = [f"{number}" for number in range(300)]
    for frame in sent:
        wired.device.send(frame)
        wired.wait(0.01)
    wired.wait()
    arrived = wired.arrived["hub"]
    assert set(arrived) == set(sent)
    assert len(arrived) > len(sent)
    assert sorted(arrived, key=sent.index) != arrived


def test_what_was_sent_before_a_close_in_good_order_arrives_and_then_the_other_end_is_told() -> None:
    wired = Wired()
    wired.device.send("last")
    wired.device.close()
    wired.wait()
    assert (wired.arrived["hub"], wired.lost, wired.hub.open) == (["last"], ["hub"], False)


def test_what_is_on_the_way_is_lost_with_an_abort() -> None:
    wired = Wired()
    wired.device.send("gone")
    wired.device.abort()
    wired.hub.send("too late")
    wired.wait()
    assert (wired.arrived, wired.lost) == ({"hub": [], "device": []}, ["hub"])


def test_a_cut_is_noticed_at_both_ends_one_or_none() -> None:
    noticed = set()
    for seed in range(40):
        wired = Wired(seed)
        wired.network.cut("d")
        wired.device.send("gone")
        wired.wait()
        assert wired.arrived["hub"] == []
        noticed.add(tuple(sorted(wired.lost)))
    assert noticed == {(), ("device",), ("device", "hub"), ("hub",)}


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_partition_holds_one_direction_back_until_it_heals(way: str) -> None:
    wired = Wired()
    wired.network.partition("d", ways=[way], for_s=5.0)  # type: ignore[list-item]
    wired.device.send("up 1")
    wired.device.send("up 2")
    wired.hub.send("down")
    wired.wait(4.0)
    free, held = ("device", "hub") if way == "up" else ("hub", "device")
    assert wired.arrived[held] == []
    assert wired.arrived[free] != []
    assert wired.network.connect("d") is None
    wired.wait(2.0)
    assert wired.arrived == {"hub": ["up 1", "up 2"], "device": ["down"]}


def test_an_end_that_gives_up_behind_a_partition_leaves_the_other_half_open() -> None:
    wired = Wired()
    wired.network.partition("d", ways=["up"], for_s=5.0)
    wired.device.abort()
    wired.wait(10.0)
    assert (wired.lost, wired.hub.open) == ([], True)


def test_nobody_can_connect_when_the_orchestrator_is_dead() -> None:
    wired = Wired()
    wired.network.orchestrator_died()
    assert wired.network.connect("d") is None
    wired.device.send("gone")
    wired.wait()
    assert wired.arrived["hub"] == []
