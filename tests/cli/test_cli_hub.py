"""A hub, a device and a client, each its own process, joined by nothing but a URL and a token."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from constellation.cli import main
from constellation.cli.hub import url_for_others

pytestmark = pytest.mark.e2e

Flow = Callable[..., str]
Start = Callable[..., Any]

FLOW = "name: far\nstars:\n  a: {work: {tool: files_list}, requires: {zone: lab}}\n  gate: {work: {question: Go?}}\n"


def url_of(hub: Any) -> str:
    return str(hub.until(lambda line: line.startswith("hub at "))).removeprefix("hub at ")


def joined(url: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The devices of the hub, once there are some."""
    while True:
        assert main(["devices", "--hub", url, "--token-file", "token", "--json"]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        if found:
            return found


def test_a_workflow_runs_on_a_device_at_a_hub(
    flow: Flow, start: Start, capsys: pytest.CaptureFixture[str], nothing_left: Callable[[list[psutil.Process]], None]
) -> None:
    hub = start("serve", "--port", "0", "--token-file", "token")
    url = url_of(hub)
    token = Path("token").read_text().strip()
    at = f"--url {url} --token-file token"
    hub.until(lambda line: line.startswith("workflows run with:"))
    assert f"devices join with: constellation device {at}" in hub.lines
    assert token not in "".join(hub.lines)

    assert main(["devices", "--hub", url, "--token-file", "token"]) == 0
    assert capsys.readouterr().out == "no device is connected\n"
    device = start("device", *at.split(), "--name", "lab-1", "--label", "zone=lab", "--slots", "3")
    (info,) = joined(url, capsys)
    assert (info["name"], info["slots"], info["labels"]["zone"]) == ("lab-1", 3, "lab")
    assert main(["devices", "--hub", url, "--token-file", "token"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["DEVICE", "STATE", "BUSY", "OS", "LABELS", "OFFERS"]
    assert row.startswith("lab-1   idle   0/3   ")

    client = start("run", flow(FLOW), "--hub", url, "--token-file", "token", "--json", "--report", "r.md")
    settled = client.until_event("star_settled", star="a")
    assert (settled["state"], settled["device"]) == ("succeeded", "lab-1")
    assert client.end() == 1, "the gate was refused: there is no terminal"
    assert "files_list" not in client.errors
    assert Path("r.md").read_text().startswith("# far: failed")

    assert main(["runs", "--hub", url, "--token-file", "token", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == settled["run"]

    device.signal(signal.SIGTERM)
    assert device.end() == 0, device.errors
    family = hub.family()
    hub.signal(signal.SIGTERM)
    assert hub.end() == 143, hub.errors
    assert hub.errors == ""
    nothing_left(family)


def test_a_client_that_is_stopped_can_follow_its_run_again(flow: Flow, start: Start) -> None:
    hub = start("serve", "--port", "0", "--token-file", "token")
    url = url_of(hub)
    device = start("device", "--url", url, "--token-file", "token", "--name", "d")
    text = "name: x\nstars:\n  a: {work: {tool: python_run, arguments: {code: 'import time; time.sleep(3)'}}}\n"
    client = None
    while client is None:
        client = start("run", flow(text), "--hub", url, "--token-file", "token", "--json")
        line = client.process.stdout.readline()
        if not line:  # the device has not joined yet
            assert client.end() == 2
            assert "no device is connected" in client.errors
            client = None
    run = json.loads(line)["run"]
    client.signal(signal.SIGINT)
    assert client.end() == 130
    how = f"constellation resume {run} --hub {url} --token-file token"
    assert client.errors == f"stopped watching; the run goes on at the hub; see it with: {how}\n"
    again = start("resume", run, "--hub", url, "--token-file", "token", "--json")
    assert again.end() == 0, again.errors
    events = [json.loads(line) for line in again.lines]
    assert (events[0]["event"], events[-1]["state"]) == ("run_started", "succeeded")
    for program in (device, hub):
        program.signal(signal.SIGINT)
        program.end()


def test_a_wrong_token_is_refused_without_showing_either(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    hub = start("serve", "--port", "0", "--token-file", "token")
    url = url_of(hub)
    Path("wrong").write_text("not-the-token")
    assert main(["devices", "--hub", url, "--token-file", "wrong"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert "not-the-token" not in err
    assert Path("token").read_text().strip() not in err


def test_with_a_certificate_a_hub_speaks_tls(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path("key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path("cert.pem", append=True)
    authority.cert_pem.write_to_path("ca.pem")
    hub = start("serve", "--port", "0", "--token-file", "token", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    url = url_of(hub)
    assert url.startswith("wss://")
    assert main(["devices", "--hub", url, "--token-file", "token"]) == 2, "the system does not know this authority"
    assert "certificate" in capsys.readouterr().err
    monkeypatch.setenv("SSL_CERT_FILE", "ca.pem")
    assert main(["devices", "--hub", url, "--token-file", "token"]) == 0


def test_an_encrypted_key_is_refused_instead_of_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path("cert.pem")
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    Path("key.pem").write_bytes(key.private_bytes(*formats, encryption))
    assert main(["serve", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]) == 2
    assert "the key is encrypted; decrypt it first" in capsys.readouterr().err


def test_who_has_a_token_of_their_own_gets_in_until_it_is_revoked(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = start("serve", "--port", "0", "--token-file", "token", "--journal", ":memory:")
    url = url_of(hub)
    assert main(["tokens", "create", "rack", "--out", "rack.token", "--allow-tool", "files_*"]) == 0
    assert main(["tokens", "create", "ann", "--role", "client", "--out", "ann.token"]) == 0
    capsys.readouterr()
    device = start("device", "--url", url, "--token-file", "rack.token", "--name", "rack")
    (info,) = joined(url, capsys)
    assert {tool.partition("_")[0] for tool in info["tools"]} == {"files"}
    assert main(["devices", "--hub", url, "--token-file", "ann.token"]) == 0
    assert main(["tokens", "revoke", "rack"]) == 0
    assert device.end() == 1
    assert "the session has ended: the peer said goodbye: its token was revoked" in device.errors
    assert "the token is not valid for a device named 'rack'" in device.errors
    assert main(["tokens", "revoke", "ann"]) == 0
    capsys.readouterr()
    assert main(["devices", "--hub", url, "--token-file", "ann.token"]) == 2
    assert "the token is not valid for this hub" in capsys.readouterr().err


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "[::]"])
def test_a_hub_on_all_addresses_is_reached_by_the_machines_name(everywhere: str) -> None:
    assert url_for_others(f"wss://{everywhere}:8765") == f"wss://{socket.gethostname()}:8765"


def test_any_other_hub_is_reached_where_it_listens() -> None:
    assert url_for_others("ws://127.0.0.1:8765") == "ws://127.0.0.1:8765"
