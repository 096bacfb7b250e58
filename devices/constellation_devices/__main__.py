"""`python -m constellation_devices`: the same as `constellation device`."""

import sys

import typer

from .cli import device

if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command("device")(device)
    sys.exit(app(prog_name="constellation device"))
