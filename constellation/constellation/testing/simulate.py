"""The command that runs many simulated worlds, or replays one: `python -m constellation.testing.simulate`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import Annotated, Any

import typer

from .errors import InvariantBreached
from .seeds import COMMANDS, EVENTS, Tally, simulate_across
from .world import SimulatedWorld

INTERRUPTED = 130
"""The exit status of a command that was interrupted."""

PROGRESS_S = 0.5
"""How often the line of progress is written anew, in seconds."""


def simulate(
    seeds: Annotated[int, typer.Option(help="How many worlds to run.", min=1)] = 1000,
    first: Annotated[int, typer.Option("--from", help="The first seed.", min=0)] = 0,
    jobs: Annotated[int | None, typer.Option(help="In how many processes; all cores by default.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="Run the world of this seed alone.", min=0)] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Print what happens in it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what comes of it as JSON.")] = False,
) -> None:
    """Run simulated worlds in which everything fails, and see that every invariant holds."""
    if seed is not None:
        raise typer.Exit(_replay(seed, trace=trace, as_json=as_json))
    if trace:
        raise typer.BadParameter("it is about one world: give its seed with --seed", param_hint="--trace")
    raise typer.Exit(_run(range(first, first + seeds), jobs=jobs or os.cpu_count() or 1, as_json=as_json))


def _replay(seed: int, *, trace: bool, as_json: bool) -> int:
    world = SimulatedWorld(seed)
    breach: InvariantBreached | None = None
    try:
        world.run()
    except InvariantBreached as error:
        breach = error
    if as_json:
        told: dict[str, Any] = {"seed": seed, "digest": world.digest, "breach": str(breach) if breach else None}
        _print(json.dumps(told | ({"trace": world.trace.lines} if trace else {})))
    else:
        if trace:
            _print("\n".join(world.trace.lines))
        _print(str(breach) if breach else f"seed {seed}: {world.state}, digest {world.digest}")
    return 1 if breach else 0


def _run(seeds: range, *, jobs: int, as_json: bool) -> int:
    tally = Tally()
    began = told = time.monotonic()
    interrupted = killed = False
    with closing(simulate_across(seeds, jobs=jobs)) as chunks:
        try:
            for chunk in chunks:
                tally.add(chunk)
                if time.monotonic() - told >= PROGRESS_S and sys.stderr.isatty():
                    told = time.monotonic()
                    rate = tally.worlds / (told - began)
                    sys.stderr.write(
                        f"\r{tally.worlds} of {len(seeds)} worlds, {rate:.0f} a second, {len(tally.breaches)} breaches "
                    )
                    sys.stderr.flush()
        except KeyboardInterrupt:
            interrupted = True
        except BrokenProcessPool:
            killed = True
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    took_s = time.monotonic() - began
    _print(json.dumps(_as_data(tally, seeds, took_s)) if as_json else _as_text(tally, seeds, took_s, jobs))
    if killed:
        sys.stderr.write(
            "a process was killed in the middle of its worlds, perhaps for want of memory; try fewer --jobs\n"
        )
    return INTERRUPTED if interrupted else 1 if tally.breaches or killed else 0


def _as_data(tally: Tally, seeds: range, took_s: float) -> dict[str, Any]:
    return {
        "from": seeds.start,
        "worlds": tally.worlds,
        "took_s": round(took_s, 3),
        "faults": dict(tally.faults.most_common()),
        "commands": dict(tally.commands.most_common()),
        "events": dict(tally.events.most_common()),
        "breaches": {str(seed): text for seed, text in sorted(tally.breaches.items())},
    }


def _as_text(tally: Tally, seeds: range, took_s: float, jobs: int) -> str:
    rate = tally.worlds / took_s
    lines = [
        f"{tally.worlds} worlds from seed {seeds.start} in {took_s:.1f} s: {rate:.0f} a second in {jobs} processes"
    ]
    lines += [f"faults: {sum(tally.faults.values())} of {len(tally.faults)} kinds", *_counts(tally.faults)]
    for what, counts, all_kinds in (("commands", tally.commands, COMMANDS), ("events", tally.events, EVENTS)):
        missing = sorted(all_kinds - counts.keys())
        never = f"; never {', '.join(missing)}" if missing else ""
        lines.append(
            f"{what}: {sum(counts.values())} of {len(counts)} kinds, of {len(all_kinds)} that there are{never}"
        )
    for seed, text in sorted(tally.breaches.items())[:5]:
        lines += ["", text, f"replay it: python -m constellation.testing.simulate --seed {seed} --trace"]
    ending = f"{len(tally.breaches)} of them breached an invariant" if tally.breaches else "every invariant held"
    return "\n".join([*lines, ending])


def _counts(counts: Counter[str]) -> list[str]:
    return [f"  {count:8} {kind}" for kind, count in counts.most_common()]


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def main() -> None:
    """Run the command."""
    app = typer.Typer(add_completion=False)
    app.command()(simulate)
    app()


if __name__ == "__main__":
    main()
