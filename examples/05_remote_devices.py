"""Remote devices: a hub, two device agents that dial it with a token, and a client that submits a graph.

Everything runs on this machine here, each part in a process of its own. On several machines it is the same, with
`wss://` and a certificate: see docs/how-to/remote-devices.md.

    python examples/05_remote_devices.py
"""

import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import anyio

from constellation import Orchestrator, TaskConstellation


def start_device(stack: ExitStack, url: str, token_file: Path, name: str, role: str) -> None:
    """Start `constellation device` as a process that is told to stop, and waited for, when the stack is closed."""
    device = stack.enter_context(
        subprocess.Popen(
            [
                *(sys.executable, "-m", "constellation_devices"),
                *("--url", url, "--token-file", str(token_file)),
                *("--name", name, "--label", f"role={role}", "--linger", "5"),
            ],
            stderr=subprocess.DEVNULL,
        )
    )
    stack.callback(device.terminate)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        async with Orchestrator.serve(journal=Path(folder) / "runs.db", home=Path(folder)) as hub:
            token_file = Path(folder) / "token"
            token_file.touch(mode=0o600)
            token_file.write_text(hub.token)
            start_device(stack, hub.url, token_file, "north", role="writer")
            start_device(stack, hub.url, token_file, "south", role="reader")
            await hub.wait_for_devices(2)

            # From here on it is a client, which could be on yet another machine.
            async with Orchestrator.connect(hub.url, hub.token) as client:
                for device in await client.devices():
                    print(f"device {device.name}: {device.labels['role']}, {len(device.tools)} tools")
                c = TaskConstellation("letters")
                letter = c.star("write", "python_run", code="print('dear south')", requires={"role": "writer"})
                c.star(
                    "read",
                    "python_run",
                    code="import sys; print(sys.stdin.read().strip().upper())",
                    stdin=letter.output["stdout"],
                    requires={"role": "reader"},
                )
                run = await client.submit(c)
                report = await run.wait()
            stack.close()
    for row in report.rows:
        print(f"{row.id}: {row.state} on {row.device}")
    print(report.outputs["read"]["stdout"].strip())


if __name__ == "__main__":
    anyio.run(main)
