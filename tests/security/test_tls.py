"""TLS and certificates of devices, over real sockets: who is not who they say gets no word in."""

from __future__ import annotations

import datetime
import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from constellation import Orchestrator
from constellation.cli import main
from constellation.orchestrator.errors import HubUnreachable
from constellation_protocol import Refused, TransportClosed
from constellation_protocol.errors import BadTlsFiles
from constellation_protocol.tls import certificate_names, client_tls, server_tls

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

Hub = Callable[..., AbstractAsyncContextManager[Any]]
YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


class Papers:
    """Authorities and certificates, in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = self._authority("ca", self.authority)

    def _authority(self, name: str, authority: trustme.CA) -> Path:
        path = self.folder / f"{name}.pem"
        authority.cert_pem.write_to_path(path)
        return path

    def issue(self, *names: str, by: trustme.CA | None = None, **options: Any) -> tuple[Path, Path]:
        issued = (by or self.authority).issue_cert(*names, **options)
        stem = self.folder / f"cert-{len(list(self.folder.iterdir()))}"
        cert, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
        issued.private_key_pem.write_to_path(key)
        cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return cert, key

    def hub(self, *, clients: bool = False, **options: Any) -> ssl.SSLContext:
        return server_tls(*self.issue("127.0.0.1", **options), client_ca=self.ca if clients else None)

    def device(self, *names: str, by: trustme.CA | None = None, **options: Any) -> ssl.SSLContext:
        cert, key = self.issue(*names, by=by, **options)
        return client_tls(ca=self.ca, cert=cert, key=key)


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    folder = tmp_path / "papers"
    folder.mkdir()
    return Papers(folder)


async def test_a_device_does_not_show_its_token_to_a_hub_of_another_authority(hub: Hub, papers: Papers) -> None:
    other = papers._authority("other", trustme.CA())
    async with hub(ssl=papers.hub()) as played:
        with pytest.raises(TransportClosed, match="certificate verify failed"):
            async with played.device("rack", ssl=client_tls(ca=other)):
                pass
        async with played.device("rack", ssl=client_tls(ca=papers.ca)):
            pass


async def test_a_client_that_does_not_know_the_hubs_authority_is_told_how_to_name_it(hub: Hub, papers: Papers) -> None:
    async with hub(ssl=papers.hub()) as played:
        with pytest.raises(HubUnreachable, match="give its certificate: CONSTELLATION_TLS_CA=FILE"):
            async with Orchestrator.connect(played.url, played.orchestrator.token):
                pass
    async with hub(ssl=papers.hub(not_after=YESTERDAY)) as played:
        with pytest.raises(HubUnreachable, match=r"certificate has expired[^;]*$"):
            async with Orchestrator.connect(played.url, "a-token", ssl=client_tls(ca=papers.ca)):
                pass


async def test_a_device_does_not_show_its_token_to_a_hub_of_another_name(hub: Hub, papers: Papers) -> None:
    tls = server_tls(*papers.issue("hub.example.org"))
    async with hub(ssl=tls) as played:
        with pytest.raises(TransportClosed, match=r"not valid for '127\.0\.0\.1'"):
            async with played.device("rack", ssl=client_tls(ca=papers.ca)):
                pass


async def test_a_device_does_not_show_its_token_to_a_hub_whose_certificate_has_expired(
    hub: Hub, papers: Papers
) -> None:
    async with hub(ssl=papers.hub(not_after=YESTERDAY)) as played:
        with pytest.raises(TransportClosed, match="certificate has expired"):
            async with played.device("rack", ssl=client_tls(ca=papers.ca)):
                pass


async def test_plain_text_gets_no_answer_from_a_port_that_speaks_tls(hub: Hub, papers: Papers) -> None:
    async with hub(ssl=papers.hub()) as played:
        url = played.url.replace("wss:", "ws:")
        with pytest.raises(HubUnreachable, match="can't be reached"):
            async with Orchestrator.connect(url, "a-token"):
                pass
        port = int(played.url.rpartition(":")[2].partition("/")[0])
        async with await anyio.connect_tcp("127.0.0.1", port) as plain:
            await plain.send(b"GET /control HTTP/1.1\r\nHost: hub\r\n\r\n")
            said = b""
            try:
                while True:
                    said += await plain.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
            assert b"HTTP" not in said


async def test_a_protocol_older_than_tls_1_2_is_not_spoken(hub: Hub, papers: Papers) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(papers.ca)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with hub(ssl=papers.hub()) as played:
        with pytest.raises(TransportClosed):
            async with played.device("rack", ssl=old):
                pass


async def test_a_hub_that_asks_for_certificates_hears_nobody_without_one(hub: Hub, papers: Papers) -> None:
    async with hub(ssl=papers.hub(clients=True)) as played:
        with pytest.raises(TransportClosed):
            async with played.device("rack", ssl=client_tls(ca=papers.ca)):
                pass
        with pytest.raises(HubUnreachable):
            async with Orchestrator.connect(played.url, played.orchestrator.token, ssl=client_tls(ca=papers.ca)):
                pass


async def test_a_certificate_of_another_authority_lets_nobody_in(hub: Hub, papers: Papers) -> None:
    async with hub(ssl=papers.hub(clients=True)) as played:
        with pytest.raises(TransportClosed):
            async with played.device("rack", ssl=papers.device("rack", by=trustme.CA())):
                pass


async def test_a_certificate_that_has_expired_lets_nobody_in(hub: Hub, papers: Papers) -> None:
    async with hub(ssl=papers.hub(clients=True)) as played:
        with pytest.raises(TransportClosed):
            async with played.device("rack", ssl=papers.device("rack", not_after=YESTERDAY)):
                pass


@pytest.mark.parametrize("names", [{"san": ("rack",)}, {"san": (), "common_name": "rack"}], ids=["san", "cn"])
async def test_the_certificate_has_to_be_one_of_the_devices_name(
    hub: Hub, papers: Papers, names: dict[str, Any]
) -> None:
    tls = papers.device(*names.pop("san"), **names)
    async with hub(ssl=papers.hub(clients=True)) as played:
        async with played.device("rack", ssl=tls):
            pass
        with pytest.raises(Refused, match="the certificate that was shown is not one of 'desk'") as refusal:
            async with played.device("desk", ssl=tls):
                pass
        assert refusal.value.code == "identity"


async def test_a_right_token_is_of_no_use_with_the_certificate_of_another(hub: Hub, papers: Papers) -> None:
    async with hub(ssl=papers.hub(clients=True)) as played:
        token, client = played.token("rack"), played.token("ann", "client")
        with pytest.raises(Refused, match="not one of 'rack'"):
            async with played.device("rack", token, ssl=papers.device("desk")):
                pass
        with pytest.raises(HubUnreachable, match="not one of 'ann'"):
            async with Orchestrator.connect(played.url, client, ssl=papers.device("desk")):
                pass
        async with Orchestrator.connect(played.url, client, ssl=papers.device("ann")) as ann:
            assert await ann.devices() == []


async def test_a_right_certificate_is_of_no_use_without_the_token(hub: Hub, papers: Papers) -> None:
    async with hub(ssl=papers.hub(clients=True)) as played:
        with pytest.raises(Refused, match="token is not valid"):
            async with played.device("rack", "", ssl=papers.device("rack")):
                pass


async def test_the_device_command_shows_its_certificate(hub: Hub, papers: Papers, tmp_path: Path) -> None:
    cert, key = papers.issue("rack")
    async with hub(ssl=papers.hub(clients=True)) as played:
        given = ["--ca", papers.ca, "--cert", cert, "--key", key, "--root", tmp_path, "--url", played.url]
        process = await anyio.open_process(
            [sys.executable, "-m", "constellation_devices", "--name", "rack", *map(str, given)],
            env={"CONSTELLATION_TOKEN": played.token("rack"), "PATH": "/usr/bin:/bin"},
        )
        try:
            await played.orchestrator.wait_for_devices(1)
        finally:
            process.terminate()
            await process.wait()


def test_a_common_name_counts_only_where_there_are_no_other_names() -> None:
    subject = {"subject": ((("commonName", "rack"),),)}
    assert certificate_names(subject) == {"rack"}
    assert certificate_names({**subject, "subjectAltName": (("DNS", "desk"), ("email", "a@b"))}) == {"desk"}
    assert certificate_names({}) == frozenset()


def test_files_that_can_not_be_used_are_named(papers: Papers, tmp_path: Path) -> None:
    cert, key = papers.issue("127.0.0.1")
    _, other = papers.issue("127.0.0.1")
    with pytest.raises(BadTlsFiles, match=r"the certificate \S+ with the key \S+ can't be used"):
        server_tls(cert, other)
    with pytest.raises(BadTlsFiles, match=r"the authorities in \S+ can't be used"):
        server_tls(cert, key, client_ca=tmp_path / "missing")
    with pytest.raises(BadTlsFiles, match="go together: give both"):
        client_tls(cert=cert)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--tls-cert", "x"], "--tls-cert and --tls-key go together"),
        (["serve", "--tls-client-ca", "x"], "--tls-client-ca goes with --tls-cert and --tls-key"),
        (["serve", "--host", "0.0.0.0"], "give --tls-cert and --tls-key"),
        (["device", "--url", "ws://127.0.0.1:1", "--ca", "x"], "--ca, --cert and --key go with a wss:// URL"),
        (["device", "--url", "wss://127.0.0.1:1", "--ca", "missing"], "the authorities in missing can't be used"),
    ],
)
def test_options_that_protect_nothing_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_a_client_command_shows_the_certificate_that_the_environment_names(
    papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from constellation.cli.options import hub_tls

    cert, key = papers.issue("ann")
    for name, path in (("CA", papers.ca), ("CERT", cert), ("KEY", key)):
        monkeypatch.setenv(f"CONSTELLATION_TLS_{name}", str(path))
    assert hub_tls("ws://127.0.0.1:1") is None
    tls = hub_tls("wss://127.0.0.1:1")
    assert tls is not None
    assert tls.verify_mode is ssl.CERT_REQUIRED
    monkeypatch.delenv("CONSTELLATION_TLS_KEY")
    with pytest.raises(BadTlsFiles, match="give both"):
        hub_tls("wss://127.0.0.1:1")
