"""The command that fuzzes AIP, or carries one input out again: `python -m constellation.testing.fuzz`.

Exit codes: 0 nothing broke; 1 something did; 2 bad input; 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from .breach import Breach
from .running import Tally, problem_of, read_input
from .spreading import TARGETS, fuzz_across, opened

INTERRUPTED = 130
PROGRESS_S = 0.5
"""How often the line of progress is written anew, in seconds."""

SHOWN = 5
"""How many failures are printed."""


def fuzz(
    inputs: Annotated[int, typer.Option(help="How many inputs to carry out.", min=1)] = 10_000,
    first: Annotated[int, typer.Option("--from", help="The first seed.", min=0)] = 0,
    jobs: Annotated[int | None, typer.Option(help="In how many processes; all cores by default.", min=1)] = None,
    target: Annotated[
        list[str] | None, typer.Option(help=f"What to fuzz: {', '.join(TARGETS)}; may be repeated. All by default.")
    ] = None,
    save: Annotated[Path, typer.Option(help="Where inputs that break something are written.")] = Path("fuzz-failures"),
    seed: Annotated[int | None, typer.Option(help="Carry out the input of this seed alone.", min=0)] = None,
    replay: Annotated[Path | None, typer.Option(help="Carry out an input that was written down.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what comes of it as JSON.")] = False,
) -> None:
    """Give the codec, sessions and a hub what nobody should send, and see that they bear it."""
    chosen = target or list(TARGETS)
    unknown = sorted(set(chosen) - set(TARGETS))
    if unknown:
        raise typer.BadParameter(f"--target {unknown[0]!r} is none of {', '.join(TARGETS)}")
    if replay is not None:
        raise typer.Exit(_replay(replay))
    if seed is not None:
        seeds, jobs = range(seed, seed + 1), 1
    else:
        seeds, jobs = range(first, first + inputs), jobs or os.cpu_count() or 1
    raise typer.Exit(_run(seeds, chosen, jobs=jobs, save=save, as_json=as_json, each=seed is not None))


def _replay(place: Path) -> int:
    document = json.loads(place.read_text(encoding="utf-8"))
    with opened(document["target"]) as target:
        try:
            _print(f"{place}: {target.run(read_input(place.read_text(encoding='utf-8')))}")
        except Exception as error:
            _print(f"{place}: {problem_of(error)}")
            if not isinstance(error, Breach):
                raise
            return 1
    return 0


def _run(seeds: range, targets: list[str], *, jobs: int, save: Path, as_json: bool, each: bool) -> int:
    tally = Tally()
    began = told = time.monotonic()
    interrupted = False
    with closing(fuzz_across(seeds, targets, jobs=jobs, each=each)) as chunks:
        try:
            for chunk in chunks:
                tally.add(chunk)
                for failure in chunk.failures:
                    failure.write(save)
                if time.monotonic() - told >= PROGRESS_S and sys.stderr.isatty():
                    told = time.monotonic()
                    done = sum(tally.inputs.values())
                    sys.stderr.write(f"\r{done} inputs, {done / (told - began):.0f} a second ")
                    sys.stderr.flush()
        except KeyboardInterrupt:
            interrupted = True
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    took_s = time.monotonic() - began
    _print(json.dumps(_as_data(tally, seeds, took_s)) if as_json else _as_text(tally, seeds, took_s, jobs, save))
    return INTERRUPTED if interrupted else 1 if tally.failures else 0


def _as_data(tally: Tally, seeds: range, took_s: float) -> dict[str, Any]:
    return {
        "from": seeds.start,
        "inputs": sum(tally.inputs.values()),
        "steps": tally.steps,
        "took_s": round(took_s, 3),
        "by_target": dict(tally.inputs),
        "fates": {name: dict(fates.most_common()) for name, fates in sorted(tally.fates.items())},
        "weighed": tally.weighed,
        "most_bytes": tally.most_bytes,
        "peak_rss_bytes": tally.peak_rss_bytes,
        "failures": [
            {"target": failure.target, "seed": failure.seed, "problem": failure.problem} for failure in tally.failures
        ],
    }


def _as_text(tally: Tally, seeds: range, took_s: float, jobs: int, save: Path) -> str:
    count = sum(tally.inputs.values())
    lines = [
        f"{count} inputs of {tally.steps} steps from seed {seeds.start} in {took_s:.1f} s: "
        f"{count / took_s:.0f} a second in {jobs} processes"
    ]
    for name, fates in sorted(tally.fates.items()):
        lines.append(f"{name}: {tally.inputs[name]}")
        lines += [f"  {number:8} {fate}" for fate, number in fates.most_common()]
    lines.append(
        f"memory: {tally.most_bytes / 2**20:.1f} MiB at most for one of {tally.weighed} inputs, "
        f"{tally.peak_rss_bytes / 2**20:.0f} MiB for a process"
    )
    for failure in tally.failures[:SHOWN]:
        place = save / f"{failure.target}-{failure.seed}.json"
        command = f"python -m constellation.testing.fuzz --replay {place}"
        lines += ["", f"{failure.target}, seed {failure.seed}: {failure.problem}", f"carry it out again: {command}"]
    lines.append(f"{len(tally.failures)} of them broke something" if tally.failures else "nothing broke")
    return "\n".join(lines)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def main() -> None:
    """Run the command."""
    app = typer.Typer(add_completion=False)
    app.command()(fuzz)
    app()


if __name__ == "__main__":
    main()
