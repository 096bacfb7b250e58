"""What stars, devices and files say is shown with its escapes visible, in every way that a command shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from websockets.asyncio.server import ServerConnection, serve

from constellation.cli import main
from constellation.console.sanitise import visible

ATTACKS = {
    "the clipboard (OSC 52)": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "a hyperlink (OSC 8)": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "the window's title (OSC 0)": "\x1b]0;title\x07",
    "the cursor": "\x1b[2A\x1b[2K\rsucceeded",
    "the screen": "\x1b[2J\x1b[H\x1bc",
    "one byte for two (C1)": "\x9b2J\x9d0;x\x9c",
    "the direction of text": "\u202etxt.exe\u202c\u2066x\u2069\u200f",
    "what is not seen": "a\u200bb\u2060c\ufeffd\U000e0041",
    "a line of ours": "\nrun finished: succeeded\r\n\u2028x\u2029",
    "a device control string": "\x1bPq#0;2;0;0;0\x1b\\",
}
ACTING = set("".join(ATTACKS.values())) - set(" -.:;/#[]\\") - set(map(chr, range(0x30, 0x7F))) - {"\n"}

pytestmark = pytest.mark.e2e


def flow(attack: str) -> str:
    """A workflow that puts an attack wherever free text is shown."""
    code = f"import sys; print({attack!r}); sys.stderr.write({attack!r}); raise SystemExit({attack!r})"
    stars = {
        "says": {"name": attack, "work": {"tool": "python_run", "arguments": {"code": code}}},
        "asks": {"work": {"question": f"Go on?{attack}"}},
    }
    return json.dumps({"name": f"n{attack}", "stars": stars})


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_nothing_in_a_run_acts_on_the_terminal(
    attack: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flow.json").write_text(flow(attack), encoding="utf-8")
    main(["run", "flow.json", "--devices", "1", "--approve", "none"])
    shown = capfd.readouterr()
    assert "says" in shown.out
    said = shown.out + shown.err
    assert visible(attack.lstrip("\n"))[:5] in said, "it was shown, and by its name"
    for command in (
        ["runs"],
        ["show", "flow.json"],
        ["validate", "flow.json"],
        ["show", f"x{attack}"],
        ["run", attack],
    ):
        main(command)
        shown = capfd.readouterr()
        said += shown.out + shown.err
    assert sorted(ACTING & set(said)) == []


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_events_in_json_hold_no_control_characters(
    attack: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flow.json").write_text(flow(attack), encoding="utf-8")
    main(["run", "flow.json", "--devices", "1", "--approve", "none", "--json"])
    out = capfd.readouterr().out
    assert sorted(ACTING & set(out)) == []
    assert json.loads(out.splitlines()[0])["name"] == f"n{attack}", "and yet nothing is lost"


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        (['{"kind":"refuse","code":"authentication","message":ATTACK}'], 1),
        (['{"kind":"error","code":ATTACK,"message":ATTACK}'], 1),
        (['{"kind":"welcome","session":"s","epoch":1}', '{"kind":"goodbye","reason":ATTACK}'], 0),
    ],
    ids=["refusal", "error", "goodbye"],
)
@pytest.mark.anyio
async def test_nothing_that_a_hub_says_acts_on_the_terminal_of_a_device(
    answers: list[str], code: int, tmp_path: Path
) -> None:
    attack = "".join(ATTACKS.values())
    frames = [
        f'{{"v":1,"seq":{number},"messages":[{answer.replace("ATTACK", json.dumps(attack))}]}}'
        for number, answer in enumerate(answers)
    ]

    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        for frame in frames:
            await connection.send(frame)
        await connection.wait_closed()

    with anyio.fail_after(30):
        async with serve(talk, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            command = [
                sys.executable,
                "-m",
                "constellation_devices",
                "--url",
                f"ws://127.0.0.1:{port}",
                "--linger",
                "0",
            ]
            done = await anyio.run_process(
                [*command, "--name", "rack", "--state-dir", tmp_path / "state"], check=False, stderr=subprocess.STDOUT
            )
    said = done.stdout.decode()
    assert done.returncode == code, said
    assert visible(attack)[:5] in said.replace("\\x1b", "\\e"), "it was shown, and by its name"
    assert sorted(ACTING & set(said)) == []
