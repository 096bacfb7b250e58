"""A server of the older protocol in plain Python that starts at once, and misbehaves as its first argument says.

    good [FILE for cancellations and numbers of answers] | flood-stderr | greets | chatters | endless-line
    leaves-child FILE | never-starts
crashes-at-start | forgets-tools FILE | bad-result | many-tools | odd-tools | endless-pages
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MODE = sys.argv[1] if len(sys.argv) > 1 else "good"
asked: dict[str, Any] = {}
FILE = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("/nowhere")


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def tool(name: str, schema: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"Do {name}.", "inputSchema": schema or {"type": "object"}, **more}


def text(words: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": words}]}


def tools() -> list[dict[str, Any]]:
    listed = [
        tool(name)
        for name in (
            "echo",
            "die",
            "hang",
            "once",
            "noise",
            "pid",
            "flood",
            "ask",
            "sound",
            "junk",
            "inside",
            "both",
            "silent",
            "garbled",
        )
    ]
    listed.append(tool("safe_die", annotations={"readOnlyHint": True}))
    if MODE == "forgets-tools" and FILE.exists():
        return [tool("echo"), tool("new"), tool("files_read")]
    if MODE == "bad-result":
        output = {"type": "object", "properties": {"n": {"type": "integer", "format": "x"}}, "required": ["n"]}
        listed += [tool("wrong", outputSchema=output), tool("nothing")]
    if MODE == "many-tools":
        return [tool(f"tool{number}") for number in range(1_000)]
    if MODE == "odd-tools":
        pieces = {"allOf": [{"$ref": "#/$defs/b"}] * 10}
        bomb = {
            f"{letter}": {"allOf": [{"$ref": f"#/$defs/{after}"}] * 10}
            for letter, after in zip("abcde", "bcdef", strict=True)
        }
        return [
            {"nothing": "at all"},
            tool("ok.name/x", outputSchema={"type": "string"}),
            tool("ok_name_x"),
            tool("far", {"type": "object", "properties": {"a": {"$ref": "https://example.org/schema"}}}),
            tool("bomb", {"type": "object", "$defs": {**bomb, "f": {}}, **pieces}),
            tool("list", {"type": "array"}),
            tool("properties", {"type": "object", "properties": []}),
            tool("property", {"type": "object", "properties": {"a": 1}}),
            tool("required", {"type": "object", "required": "a"}),
            tool(
                "deep",
                json.loads('{"type":"object","properties":' + '{"a":{"properties":' * 80 + "{}" + "}}" * 80 + "}"),
            ),
            tool("sly", {"type": "object"}, description="Fine.\u202e\x1b[31m" + "x" * 10_000),
        ]
    return listed


def call(name: str, arguments: dict[str, Any], params: dict[str, Any]) -> dict[str, Any] | None:
    if name == "echo":
        return text(json.dumps(arguments))
    if name == "pid":
        return text(str(os.getpid()))
    if name in ("die", "safe_die"):
        if "mark" in arguments:
            if Path(arguments["mark"]).exists():
                return text("alive")
            Path(arguments["mark"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hang":
        if arguments.get("deaf"):
            time.sleep(1_000)
        return None
    if name == "noise":
        sys.stdout.write("this is no message\n{]\n" + "\n" * 5)
        return text("after the noise")
    if name == "flood":
        token = params.get("_meta", {}).get("progressToken")
        for number in range(5_000):
            say(
                {
                    "method": "notifications/progress",
                    "params": {"progressToken": token, "progress": number, "total": 5_000},
                }
            )
            say({"method": "notifications/tools/list_changed"})
        return text("flooded")
    if name == "ask":
        asked["call"], asked["left"], asked["answers"] = params["_id"], arguments["times"], []
        for number in range(arguments["times"]):
            form = {
                "message": f"May\x1b I? {number}",
                "requestedSchema": arguments.get("schema", {"type": "object", "properties": {}}),
            }
            page = {"mode": "url", "message": "Look", "url": "https://example.org/", "elicitationId": "1"}
            question = page if arguments.get("url") else form
            say({"id": f"q{number}", "method": "elicitation/create", "params": question})
        return None
    if name == "sound":
        return {"content": [{"type": "audio", "data": "c291bmQ=", "mimeType": "audio/wav"}]}
    if name == "junk":
        return {"content": [{"type": "image", "data": "not base64!", "mimeType": "image/png"}]}
    if name == "inside":
        return {"content": [{"type": "resource", "resource": {"uri": "notes://a", "text": "words"}}]}
    if name == "both":
        return {
            "content": [{"type": "audio", "data": "c291bmQ=", "mimeType": "audio/wav"}],
            "structuredContent": {"n": 1},
        }
    if name == "garbled":
        id, line = json.dumps(params["_id"]).encode(), arguments["line"].encode("latin-1")
        sys.stdout.buffer.write(line.replace(b"ID", id) + b"\n")
        sys.stdout.buffer.flush()
        return None
    if name == "silent":
        return {"content": []}
    if name == "once":
        FILE.touch()
        say({"method": "notifications/tools/list_changed"})
        return text("changed")
    if name == "wrong":
        return {**text("no"), "structuredContent": {"n": "many"}}
    if name == "nothing":
        return {"nothing": True}
    return {**text(f"no tool {name}"), "isError": True}


def answer(message: dict[str, Any]) -> None:
    method, params, id = message.get("method"), message.get("params") or {}, message.get("id")
    if method is None:
        asked["left"] -= 1
        asked["answers"].append(message.get("result") or message.get("error"))
        if Path("/nowhere") != FILE:
            FILE.write_text(str(len(asked["answers"])))
        if not asked["left"]:
            say({"id": asked["call"], "result": text(json.dumps(asked["answers"]))})
        return
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}}
        info = {"name": "raw", "version": "1"}
        result = {"protocolVersion": params["protocolVersion"], "capabilities": capabilities, "serverInfo": info}
        say({"id": id, "result": result})
    elif method == "tools/list":
        page = {"tools": tools()}
        if MODE == "endless-pages":
            page["nextCursor"] = "more"
        say({"id": id, "result": page})
    elif method == "tools/call":
        result = call(params["name"], params.get("arguments") or {}, {**params, "_id": id})
        if result is not None:
            say({"id": id, "result": result})
    elif method == "ping":
        say({"id": id, "result": {}})
    elif method == "notifications/cancelled":
        if Path("/nowhere") != FILE:
            FILE.write_text(json.dumps(params))
    elif id is not None:
        say({"id": id, "error": {"code": -32601, "message": "Method not found"}})


def main() -> None:
    if MODE == "crashes-at-start":
        sys.exit("no licence\x1b[31m was found")
    if MODE == "never-starts":
        time.sleep(1_000)
    if MODE == "greets":
        sys.stdout.write("Welcome to the raw server!\n\n")
    if MODE == "chatters":
        while True:
            sys.stdout.write("chatter\n" * 1_000)
    if MODE == "endless-line":
        while True:
            sys.stdout.write("x" * 65_536)
    if MODE == "flood-stderr":
        sys.stderr.write("y" * 2_000_000)
    if MODE == "leaves-child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
        FILE.write_text(str(child.pid))
    for line in sys.stdin:
        answer(json.loads(line))


main()
