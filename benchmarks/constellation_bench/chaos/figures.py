"""What a chaos run is told as: one JSON object, or lines for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from .run import Chaos, Outcome


def figures(chaos: Chaos, outcome: Outcome) -> dict[str, Any]:
    """The figures, JSON."""
    from constellation.orchestrator.recovery import LEASE_S

    findings, done = outcome.findings, outcome.done
    told = {
        "stars": findings.stars,
        "ended": findings.ended,
        "kills": done.kills,
        "cuts": done.cuts,
        "lost": len(findings.lost),
        "double_effects": len(findings.doubled),
        "unknown": len(findings.unknown),
        "idempotent_reruns": len(findings.reruns),
        "unaccounted": len(findings.unaccounted),
        "astray": len(findings.astray),
        "crashes": len(outcome.crashes),
        "unknown_with_effect": len(findings.unknown_with_effect),
        "effects": findings.effects,
        "attempts": findings.attempts,
        "hub_kills": done.hub_kills,
        "device_kills": done.device_kills,
        "hubs": chaos.hubs,
        "devices": chaos.devices,
        "seed": chaos.seed,
        "elapsed_s": round(outcome.elapsed_s, 1),
    }
    if chaos.hubs > 1:
        told |= {
            "lease_s": LEASE_S,
            **_times("takeover", done.takeovers_s),
            "freezes": done.freezes,
            **_times("frozen_takeover", done.thaws_s),
        }
    return told


def _times(name: str, times: Sequence[float]) -> dict[str, Any]:
    return {
        f"{name}s": len(times),
        f"{name}_median_s": round(median(times), 2) if times else None,
        f"{name}_max_s": round(max(times), 2) if times else None,
    }


def print_figures(told: Mapping[str, Any]) -> None:
    """Print the figures, one on a line."""
    width = max(map(len, told))
    for name, value in told.items():
        shown = f"{value:,}" if isinstance(value, int) else "–" if value is None else str(value)
        sys.stdout.write(f"{name.replace('_', ' '):<{width}}  {shown:>9}\n")
