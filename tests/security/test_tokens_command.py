"""`constellation tokens`, and the file behind it: a token is shown once, and nothing that is kept leads back to it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from constellation.cli import main
from constellation.orchestrator.credentials import Role, issue
from constellation.orchestrator.errors import TokensUnreadable
from constellation.orchestrator.token_store import TokenStore

TOKEN = re.compile(r"cst_[0-9a-f]{16}_[0-9a-f]{64}")


def created(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["tokens", "create", *arguments]) == 0
    return capsys.readouterr().out.strip()


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert main(["tokens", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row.pop("name"): row for row in rows}


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["tokens", *arguments]) == 2
    return capsys.readouterr().err


def test_a_token_is_shown_once_and_only_a_hash_of_it_is_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = created(capsys, "rack")
    assert TOKEN.fullmatch(token)
    assert main(["tokens", "list"]) == 0
    secret = token.rpartition("_")[2]
    assert secret not in capsys.readouterr().out
    kept = [path for path in home.iterdir() if path.is_file()]
    assert home / "tokens.json" in kept
    assert all(secret not in path.read_text() for path in kept)
    assert {oct(path.stat().st_mode & 0o777) for path in kept} == {"0o600"}
    assert oct(home.stat().st_mode & 0o777) == "0o700"


def test_hashes_of_one_token_under_two_salts_have_nothing_in_common() -> None:
    first, token = issue("rack", Role.DEVICE, now=0.0)
    second = first.model_copy(update={"salt": "0" * 32})
    assert first.matches(token)
    assert not second.matches(token)


def test_a_token_can_go_to_a_file_for_its_owner_alone_and_never_over_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rack.token"
    assert TOKEN.search(created(capsys, "rack", "--out", str(out))) is None
    assert TOKEN.fullmatch(out.read_text().strip())
    assert oct(out.stat().st_mode & 0o777) == "0o600"
    before = out.read_text()
    assert "File exists" in complaint(capsys, "create", "desk", "--out", str(out))
    assert out.read_text() == before
    assert "revoke it first" in complaint(capsys, "create", "rack", "--out", str(tmp_path / "again"))
    assert not (tmp_path / "again").exists()
    assert list(listed(capsys)) == ["rack"]


def test_what_a_token_permits_and_how_long_it_is_good_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    created(capsys, "rack", "--allow-tool", "files_*", "--allow-tool", "look", "--label", "zone=lab", "--expires", "2h")
    created(capsys, "ann", "--role", "client")
    rows = listed(capsys)
    rack, ann = rows["rack"], rows["ann"]
    assert (rack["role"], rack["tools"], rack["labels"]) == ("device", ["files_*", "look"], {"zone": "lab"})
    assert rack["expires_at"] == pytest.approx(float(str(rack["created_at"])) + 7200)
    assert (ann["role"], ann["tools"], ann["labels"], ann["expires_at"]) == ("client", None, None, None)
    assert main(["tokens", "list"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["NAME", "ROLE", "MADE"]
    assert first.split()[:2] == ["ann", "client"]
    assert "for ever" in first
    assert second.endswith("files_*,look  zone=lab")


def test_a_token_that_is_revoked_is_gone_and_its_name_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    created(capsys, "rack")
    assert main(["tokens", "revoke", "rack"]) == 0
    assert "is worth nothing any more" in capsys.readouterr().out
    assert "there is no token named 'rack'" in complaint(capsys, "revoke", "rack")
    assert main(["tokens", "list"]) == 0
    assert capsys.readouterr().out == "there are no tokens of single devices or clients\n"
    created(capsys, "rack")


def test_a_token_that_has_expired_makes_way_for_another_of_its_name(home: Path) -> None:
    store = TokenStore(home / "tokens.json")
    store.add(issue("rack", Role.DEVICE, now=0.0, expires_s=10.0)[0], now=0.0)
    fresh, _ = issue("rack", Role.DEVICE, now=10.0)
    store.add(fresh, now=10.0)
    assert list(store.credentials()) == [fresh.id]


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "a b", "a\nb", "a\n", "a\0b", "a\x1b[2J", "-rf", "\u202eabc", "x" * 201]
)
def test_a_name_that_no_device_can_have_gets_no_token(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "create", "--", name)
    assert "can't be the name of a token" in said
    assert "\x1b" not in said
    assert "\u202e" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--role", "god"], "--role 'god': it is device or client"),
        (["--role", "client", "--allow-tool", "x"], "leave them out for a client"),
        (["--label", "zone"], "--label 'zone' is not of the form KEY=GLOB"),
        (["--expires", "soon"], "--expires 'soon' is no duration"),
        (["--expires", "0d"], "--expires '0d' is no duration"),
        (["--out", "nowhere/token"], "the token can't be written to nowhere/token"),
    ],
)
def test_what_makes_no_sense_is_refused_and_makes_no_token(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in complaint(capsys, "create", "rack", *arguments)
    assert listed(capsys) == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version":2}', '{"credentials":[{"id":"x"}]}'])
def test_a_damaged_list_is_named_and_not_overwritten(
    home: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    path = home / "tokens.json"
    path.write_text(content)
    assert "tokens.json is no list of tokens, or a damaged one" in complaint(capsys, "create", "rack")
    assert path.read_text() == content


def test_a_list_that_others_may_write_is_not_trusted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    created(capsys, "rack")
    os.chmod(home / "tokens.json", 0o620)
    assert "may be written by others than its owner: chmod 600 it" in complaint(capsys, "list")


def test_what_is_no_file_is_no_list_of_tokens(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "tokens.json").mkdir(parents=True)
    os.chmod(home / "tokens.json", 0o700)
    assert "tokens.json can't be read: Is a directory" in complaint(capsys, "list")
    with pytest.raises(TokensUnreadable, match="can't be read: Not a directory"):
        TokenStore(Path(__file__) / "tokens.json").credentials()


def test_a_list_that_can_not_be_written_stays_as_it_was(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    created(capsys, "rack")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left on device" in complaint(capsys, "create", "desk")
    assert list(listed(capsys)) == ["rack"]
    assert sorted(path.name for path in home.iterdir()) == ["tokens.json", "tokens.lock"]


def test_tokens_that_are_made_at_the_same_time_are_all_kept(home: Path) -> None:
    store = home / "tokens.json"
    names = [f"device-{number}" for number in range(40)]

    def make(name: str) -> None:
        TokenStore(store).add(issue(name, Role.DEVICE, now=0.0)[0], now=0.0)

    threads = [threading.Thread(target=make, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {credential.name for credential in TokenStore(store).credentials().values()} == set(names)


@pytest.mark.e2e
def test_the_program_shows_a_new_token_and_nothing_else(home: Path) -> None:
    program = "import sys; from constellation.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "tokens", "create", "rack"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert TOKEN.fullmatch(done.stdout.strip())
    assert done.stderr == ""
