"""Bring `.venv` up to date: make it when it is missing, install again when what it is made from changed.

Runs before everything that `make` does, so what is up to date costs one comparison. A lock lets several `make`s start
at once. Uses the standard library only. Installs with uv when that can be had from the index, else with pip.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
COMPILED = ROOT / "constellation" / "constellation" / "graph" / "compiled"
STAMP = VENV / "installed"
PYTHON = VENV / "bin" / "python"


def main() -> int:
    """Bring the environment up to date; returns an exit code."""
    wanted = fingerprint()
    if is_current(wanted):
        return 0
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current(wanted):
            return 0
        try:
            build()
        except subprocess.CalledProcessError as error:
            say(f"`{' '.join(map(str, error.cmd))}` ended with {error.returncode}; see above for the reason")
            return 1
        STAMP.write_text(wanted, encoding="ascii")
    return 0


def fingerprint() -> str:
    """What the environment depends on: the project's metadata, what is compiled, where it stands, the interpreter."""
    digest = hashlib.sha256()
    for path in (ROOT / "pyproject.toml", ROOT / "hatch_build.py", *sorted(COMPILED.glob("*.[ch]"))):
        digest.update(path.read_bytes())
    digest.update(f"{ROOT}\n{sys.version}".encode())
    return digest.hexdigest()


def is_current(wanted: str) -> bool:
    """Whether the environment is the one that is wanted."""
    return STAMP.is_file() and STAMP.read_text(encoding="ascii") == wanted and PYTHON.exists()


def build() -> None:
    """Make the environment, or bring one of the same interpreter up to date; raises CalledProcessError."""
    if not works():
        say(f"making .venv with Python {sys.version.split()[0]}")
        shutil.rmtree(VENV, ignore_errors=True)
        run(sys.executable, "-m", "venv", str(VENV))
    say("installing the project and what it needs; this takes a minute the first time")
    target = ("--editable", f"{ROOT}[dev,bench,mcp,otel,postgres,sql,documents,browser]")
    if quietly(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv") and quietly(
        PYTHON, "-m", "uv", "pip", "install", "--quiet", "--python", PYTHON, *target
    ):
        return
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *target)


def works() -> bool:
    """Whether there is an environment of this very interpreter version, in the place that it was made for."""
    program = "import sys, pip; print(sys.version); print(sys.prefix)"
    try:
        answer = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    return answer == f"{sys.version}\n{VENV}\n"


def run(*command: str | Path) -> None:
    """Run a command that has to succeed."""
    subprocess.run([*command], check=True, stdin=subprocess.DEVNULL)


def quietly(*command: str | Path) -> bool:
    """Run a command that may fail, because there is another way."""
    return subprocess.run([*command], capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    sys.stderr.write(f"environment: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
