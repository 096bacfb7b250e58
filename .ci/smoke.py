"""Build the wheel, install it into a fresh environment, and see that what a user would do first works there.

The environment has nothing but the wheel and its dependencies, so a file that is missing from the wheel, or a
dependency that only the development environment has, shows up here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
UV = (sys.executable, "-m", "uv")

WORKFLOW = """\
name: smoke
stars:
  hello:
    work: {tool: python_run, arguments: {code: "print('hello')"}}
  shout:
    work:
      tool: python_run
      arguments: {code: "import sys; print(sys.stdin.read().upper())", stdin: {$ref: "hello#/stdout"}}
"""


def main() -> int:
    """Build, install, try; returns an exit code."""
    with tempfile.TemporaryDirectory(prefix="constellation-smoke-") as folder:
        place = Path(folder)
        say("building the wheel")
        run(*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", place / "dist", ROOT)
        (wheel,) = (place / "dist").glob("*.whl")
        say(f"installing {wheel.name} into a fresh environment")
        venv.create(place / "venv")
        python = place / "venv" / "bin" / "python"
        install = (*UV, "pip", "install", "--python", python) if has_uv() else (*PIP, "--python", python, "install")
        run(*install, "--quiet", wheel)
        say("running a workflow on two device processes with it")
        (place / "smoke.yaml").write_text(WORKFLOW, encoding="utf-8")
        command = place / "venv" / "bin" / "constellation"
        compiled = json.loads(run(command, "version", "--json", cwd=place))["compiled"]
        if not compiled and os.environ.get("CI") == "true":
            say("its compiled part is missing, which CI has to build; see above for the reason")
            return 1
        run(command, "validate", "smoke.yaml", cwd=place)
        lines = run(command, "run", "smoke.yaml", "--devices", "2", "--json", "--journal", "runs.db", cwd=place)
        last = json.loads(lines.splitlines()[-1])
        if last["event"] != "run_finished" or last["state"] != "succeeded":
            say(f"the workflow did not succeed: {last}")
            return 1
    say("the wheel works")
    return 0


def has_uv() -> bool:
    """Whether uv is installed beside this interpreter; it installs faster than pip."""
    return subprocess.run([*UV, "--version"], capture_output=True).returncode == 0


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command that has to succeed and return its output."""
    done = subprocess.run([*command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        say(f"`{' '.join(map(str, command))}` ended with {done.returncode}:\n{done.stdout}")
        sys.exit(1)
    return done.stdout


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    sys.stderr.write(f"smoke: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
