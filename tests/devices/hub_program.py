"""An orchestrator for tests that can be killed: assigns one piece of work to the first device that joins.

Arguments: port (0 for any), attempt, tool, arguments as JSON. Writes its port and then `accepted` as lines.
"""

import json
import sys

import anyio

from constellation_protocol import Assign, Hello, Link, ToolWork, listen
from constellation_protocol.transport import Peer


async def main(port: int, attempt: str, tool: str, arguments: str) -> None:
    async def welcome_everybody(hello: Hello, peer: Peer) -> None:
        return None

    async def admit(hello: Hello, grounds: None) -> int:
        return 1

    async def serve(link: Link) -> None:
        work = ToolWork(tool=tool, arguments=json.loads(arguments))
        await link.send(Assign(run="r", star="s", attempt=attempt, epoch=1, work=work))
        while True:
            for message in await link.receive():
                if message.kind == "accept":
                    sys.stdout.write("accepted\n")
                    sys.stdout.flush()

    async with listen(port=port, authenticate=welcome_everybody, admit=admit, serve=serve) as listener:
        sys.stdout.write(f"{listener.port}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), *sys.argv[2:5])
