"""Whether a device can serve a star at all, and, when not, why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..graph import TaskStar
from .events import DeviceId
from .inputs import Offer


def tool_of(star: TaskStar) -> str:
    """The name of the tool that a device needs for a star, which has to be one for devices."""
    work: Any = star.work
    tool: str = work.tool
    return tool


def resource_needs(star: TaskStar) -> dict[str, float]:
    """The amounts that a star reserves."""
    return {name: float(value) for name, value in star.requires.items() if not isinstance(value, str)}


def mismatch(star: TaskStar, device: DeviceId, offer: Offer) -> str | None:
    """Why a device can never serve a star with what it offers now; None when it can, be it busy or not."""
    if star.device is not None and star.device != device:
        return f"is not {star.device!r}, which the star is pinned to"
    tool = tool_of(star)
    if tool not in offer.tools:
        return f"has no tool {tool!r}"
    for name, wanted in star.requires.items():
        if isinstance(wanted, str):
            found = offer.labels.get(name)
            if found != wanted:
                return f"has {name} {found!r}, not {wanted!r}" if found is not None else f"has no label {name!r}"
        elif offer.resources.get(name, 0.0) < wanted:
            return f"has {offer.resources.get(name, 0.0):g} {name}, not {wanted:g}"
    return None


def explain_mismatch(star: TaskStar, offers: Mapping[DeviceId, Offer], *, avoid: Sequence[DeviceId] = ()) -> str:
    """Why no device of a fleet can serve a star, device by device, and what to do about it."""
    wants = [f"the tool {tool_of(star)!r}"]
    wants += [
        f"{name} {value!r}" if isinstance(value, str) else f"{value:g} {name}" for name, value in star.requires.items()
    ]
    needs = " and ".join(([f"device {star.device!r}"] if star.device else []) + wants)
    if not offers:
        return f"needs {needs}, but no device is connected; start one with `constellation device`"
    reasons = []
    for device, offer in sorted(offers.items()):
        reason = "has refused it" if device in avoid else mismatch(star, device, offer)
        reasons.append(f"{device} {reason}" if reason else f"{device} could")
    shown = "; ".join(reasons[:6]) + (f"; and {len(reasons) - 6} more" if len(reasons) > 6 else "")
    return f"needs {needs}, which no connected device has: {shown}; connect one that has, or change what it needs"
