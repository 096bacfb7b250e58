"""The devices of the demo: some scan, some analyse, and each kind of work can be done by two of them or more."""

from __future__ import annotations

from pathlib import Path

from constellation import DeviceSpec

from .plan import ANALYSTS, SCANNERS

TOOLS = "constellation_bench.demo.tools"
SLOTS = 2
ZONES = ("east", "west")

MIN_DEVICES = 2
"""With one device alone, the loss of it would be the end of the run."""
MAX_DEVICES = 32


def make_fleet(devices: int, *, root: Path) -> list[DeviceSpec]:
    """The devices to start.

    Args:
        devices: How many, at least `MIN_DEVICES`; a quarter of them are analysts.
        root: What their file and shell tools, which the demo does not use, are confined to.
    """
    analysts = max(1, devices // 4)
    scanners = devices - analysts
    specs = []
    for number in range(1, scanners + 1):
        stands_in = number == scanners and analysts == 1
        specs.append(_device("scanner", number, SCANNERS | (ANALYSTS if stands_in else {}), root))
    for number in range(1, analysts + 1):
        stands_in = number == analysts and scanners == 1
        specs.append(_device("analyst", number, ANALYSTS | (SCANNERS if stands_in else {}), root))
    return specs


def _device(role: str, number: int, abilities: dict[str, str], root: Path) -> DeviceSpec:
    return DeviceSpec(
        f"{role}-{number}",
        labels={"role": role, "zone": ZONES[(number - 1) % len(ZONES)], **abilities},
        slots=SLOTS,
        tools=(TOOLS,),
        root=root,
    )
