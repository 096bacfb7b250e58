"""What pages try to get out of: the hosts that may be reached, their time, their number, their browser's life."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import psutil
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from constellation_tools import Confined, ToolFailed, ToolTimeout
from constellation_tools.toolkits import browser_tools

from .browsing import Forbidden, Person, Site, endless, never, running_site

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.e2e,
    pytest.mark.requires("chromium"),
    pytest.mark.requires_module("playwright", "markdownify"),
]


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as site:
        site.routes["/"] = "<title>Home</title>fine"
        yield site


@pytest.fixture
def forbidden() -> Iterator[Forbidden]:
    place = Forbidden()
    yield place
    place.close()


@pytest.fixture
async def person(site: Site, tmp_path: Path) -> AsyncIterator[Person]:
    async with browser_tools([site.place], root=tmp_path, max_pages=2, max_bytes=4 * 1024**2) as tools:
        yield Person(tools)


async def test_a_redirect_leads_to_allowed_hosts_only(site: Site, forbidden: Forbidden, person: Person) -> None:
    for to in (f"http://{forbidden.place}/", f"https://{forbidden.place}/", "http://169.254.169.254/latest"):
        site.routes["/away"] = (302, {"Location": to}, b"")
        with pytest.raises(Confined, match="may reach"):
            await person("open", url=site.url("/away"))
    site.routes["/script"] = f"<script>location = 'http://{forbidden.place}/'</script>"
    await person("open", url=site.url("/script"))
    site.routes["/refresh"] = f"<meta http-equiv=refresh content='0; url=http://{forbidden.place}/'>"
    await person("open", url=site.url("/refresh"))
    await person("open", url=site.url())
    assert not forbidden.spoken_to()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nothing_that_a_page_loads_comes_from_elsewhere(
    site: Site, forbidden: Forbidden, person: Person, scheme: str
) -> None:
    to = f"{scheme}://{forbidden.place}"
    socket = f"{scheme.replace('http', 'ws')}://{forbidden.place}"
    site.routes["/worker.js"] = (
        200,
        {"Content-Type": "text/javascript"},
        f"fetch('{to}/w').catch(() => 0).then(() => postMessage('w'))".encode(),
    )
    site.routes["/hungry"] = f"""
    <link rel=stylesheet href='{to}/s'><link rel=preconnect href='{to}'><link rel=dns-prefetch href='{to}'>
    <img src='{to}/i'><script src='{to}/j'></script><iframe src='{to}/f'></iframe><object data='{to}/o'></object>
    <video src='{to}/v'></video><form action='{to}/p' method=post target=there></form><iframe name=there></iframe>
    <script>
    const failed = make => new Promise(done => {{ const made = make(); made.onerror = done; }});
    document.forms[0].submit();
    navigator.sendBeacon('{to}/b');
    Promise.all([
      fetch('{to}/x', {{mode: 'no-cors'}}).catch(() => 0),
      failed(() => new WebSocket('{socket}/ws')),
      failed(() => new EventSource('{to}/e')),
      new Promise(done => {{ new Worker('/worker.js').onmessage = done; }}),
      navigator.serviceWorker ? navigator.serviceWorker.register('/worker.js').catch(() => 0) : 0,
    ]).then(() => {{ document.body.append('all of it failed'); }});
    </script>"""
    opened = await person("open", url=site.url("/hungry"))
    waited = await person("wait", text="all of it failed")
    notes = opened["notes"] + waited["notes"]
    assert any(f"a request did not get through: {forbidden.place} is not among" in note for note in notes)
    assert any(f"a WebSocket did not get through: {forbidden.place}" in note for note in notes)
    assert not forbidden.spoken_to()


async def test_peer_connections_send_nothing_past_the_proxy(site: Site, forbidden: Forbidden, person: Person) -> None:
    site.routes["/rtc"] = f"""<body><script>
    const place = '127.0.0.1:{forbidden.udp_port}', tcp = '127.0.0.1:{forbidden.port}';
    const peer = new RTCPeerConnection({{iceServers: [{{urls: 'stun:' + place}},
      {{urls: ['turn:' + place, 'turn:' + tcp + '?transport=tcp'], username: 'a', credential: 'b'}}]}});
    peer.createDataChannel('x');
    peer.onicegatheringstatechange = () => {{
      if (peer.iceGatheringState == 'complete') document.body.append('gathered');
    }};
    peer.createOffer().then(offer => peer.setLocalDescription(offer));
    </script>"""
    await person("open", url=site.url("/rtc"))
    await person("wait", text="gathered", timeout_s=60)
    assert not forbidden.spoken_to()


async def test_a_name_that_leads_elsewhere_when_it_is_asked_again_gains_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["93.184.216.34", "127.0.0.1"]
    connected: list[str] = []
    real = anyio.connect_tcp

    async def rebinding(host: str, port: int, **options: Any) -> Any:
        return [(0, 0, 0, "", (answers.pop(0) if len(answers) > 1 else answers[0], port))]

    async def connect(host: str, port: int, **options: Any) -> anyio.abc.ByteStream:
        connected.append(host)
        return await real("127.0.0.1", site.server_port)

    site.routes["/"] = """<body><script>
    fetch('/again', {cache: 'no-store'}).then(() => 'reached', () => 'refused').then(x => document.body.append(x));
    </script>"""
    monkeypatch.setattr(anyio, "getaddrinfo", rebinding)
    monkeypatch.setattr(anyio, "connect_tcp", connect)
    async with browser_tools(["rebind.test"]) as tools:
        person = Person(tools)
        opened = await person("open", url="http://rebind.test/")
        waited = await person("wait", text="refused")
    notes = str(opened["notes"] + waited["notes"])
    assert "'rebind.test' leads to 127.0.0.1, which is not a public address" in notes
    assert connected == ["93.184.216.34"]
    assert [path for path, _ in site.seen] == ["/"]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "chrome://version",
        "data:text/html,x",
        "javascript:alert(1)",
        "about:blank",
        "view-source:http://a/",
        "http://user:word@127.0.0.1/",
    ],
)
async def test_only_pages_of_web_sites_are_opened(person: Person, url: str) -> None:
    with pytest.raises(ToolFailed):
        await person("open", url=url)


async def test_a_page_can_not_go_to_the_files_of_the_machine(site: Site, person: Person, tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("<title>secret</title>secret words")
    to = secret.as_uri()
    site.routes["/from"] = f"""<body><a href='{to}'>file</a> <a href='view-source:{to}'>source</a>
      <a href='chrome://version'>chrome</a> <iframe src='{to}'></iframe>
      <script>fetch('{to}').then(() => 'got', () => 'failed').then(x => document.body.append(x))</script>"""
    site.routes["/redirect"] = (302, {"Location": to}, b"")
    await person("open", url=site.url("/from"))
    await person("wait", text="failed")
    links = re.findall(r'link "\w+" \[ref=(\w+)\]', (await person("read"))["text"])
    assert len(links) == 3
    for link in links:
        assert (await person("click", ref=link))["url"] == site.url("/from")
    assert "secret words" not in (await person("read"))["text"]
    with pytest.raises(ToolFailed):
        await person("open", url=site.url("/redirect"))


async def test_a_file_is_never_put_outside_of_the_root_or_over_another_one(
    site: Site, person: Person, tmp_path: Path
) -> None:
    (tmp_path / "own.txt").write_text("mine")
    for number, name in enumerate(["../../evil", "/etc/evil", ".bashrc", "own.txt", "..", "a\\..\\b"]):
        sent = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Type": "text/plain"}
        site.routes[f"/{number}"] = (200, sent, b"theirs")
        await person("open", url=site.url(f"/{number}"))
    files = await person("downloads", save_in=".")
    assert [each["problem"] for each in files] == [None] * 6
    saved = {tmp_path / each["saved_as"] for each in files}
    assert saved | {tmp_path / "own.txt"} == set(tmp_path.iterdir())
    assert not [path for path in saved if path.name.startswith(".")]
    assert (tmp_path / "own.txt").read_text() == "mine"
    await person("open", url=site.url("/0"))
    with pytest.raises(Confined):
        await person("downloads", save_in="../out")


async def test_a_file_that_is_too_large_is_not_taken(site: Site, tmp_path: Path) -> None:
    site.routes["/big"] = (200, {"Content-Disposition": "attachment; filename=big"}, b"x" * 2000)
    site.routes["/blob"] = """<a id=a download=blob>go</a><script>
      a.href = URL.createObjectURL(new Blob(['y'.repeat(3000)]));</script>"""
    async with browser_tools([site.place], max_file_bytes=1000) as tools:
        person = Person(tools)
        await person("open", url=site.url("/big"))
        await person("open", url=site.url("/blob"))
        await person("click", ref=await person.ref('link "go"'))
        problems = [each["problem"] for each in await person("downloads")]
    assert problems == [f"it takes {size} bytes, and 1000 is the limit" for size in (2000, 3000)]


async def test_pages_can_not_open_more_of_them_than_there_may_be(site: Site, person: Person) -> None:
    site.routes["/flood"] = "<button onclick='for (let i = 0; i < 20; i++) window.open(\"/\")'>flood</button>"
    await person("open", url=site.url("/flood"))
    button = await person.ref('button "flood"')
    notes = []
    for _ in range(3):
        notes += (await person("click", ref=button, page="p1"))["notes"]
    assert len(await person("pages")) <= 2
    assert "a page wanted to open another one, and there are too many" in notes
    with pytest.raises(ToolFailed, match="no more may be open"):
        await person("open", url=site.url(), new_page=True)


async def test_dialogs_are_dismissed_and_told(site: Site, person: Person) -> None:
    site.routes["/asking"] = """<title>asking</title><body><script>
      const all = [alert('one'), confirm('two'), prompt('three')];
      document.body.append(JSON.stringify(all));
      for (let i = 0; i < 50; i++) alert(i);
      onbeforeunload = event => event.preventDefault();
    </script><button>b</button>"""
    opened = await person("open", url=site.url("/asking"))
    assert len(opened["notes"]) == 20  # the last ones; no page fills the memory with dialogs
    assert opened["notes"][-1] == "the page asked (alert), and was dismissed: 49"
    assert "[null,false,null]" in (await person("read", form="text"))["text"]
    await person("click", ref=await person.ref('button "b"'))  # who has been clicked on may ask whether to leave
    assert (await person("open", url=site.url()))["title"] == "Home"


async def test_a_page_without_end_costs_no_more_than_may_come_between_calls(site: Site, person: Person) -> None:
    site.routes["/endless"] = endless
    with suppress(ToolFailed, ToolTimeout):  # Chromium may call what was cut an error, or wait for more
        await person("open", url=site.url("/endless"), timeout_s=3)
    assert await anyio.to_thread.run_sync(site.left.wait, 30)
    assert (await person("open", url=site.url()))["title"] == "Home"


async def test_a_page_that_never_comes_runs_out_of_time_and_the_next_one_is_opened(site: Site, person: Person) -> None:
    site.routes["/never"] = never
    with pytest.raises(ToolTimeout):
        await person("open", url=site.url("/never"), timeout_s=0.5)
    assert (await person("open", url=site.url()))["title"] == "Home"


async def test_a_page_whose_script_never_ends_is_closed(site: Site, person: Person) -> None:
    site.routes["/busy"] = "<title>busy</title><button onclick='setTimeout(() => { while (true); })'>work</button>"
    await person("open", url=site.url("/busy"))
    button = await person.ref('button "work"')
    with suppress(ToolTimeout):  # it may or may not be done with the click before it is busy
        await person("click", ref=button, timeout_s=2)
    with pytest.raises((ToolTimeout, ToolFailed)):
        await person("read", form="text", page="p1", timeout_s=0.5)
    assert (await person("open", url=site.url(), new_page=True))["title"] == "Home"
    assert [each["page"] for each in await person("pages")] == ["p2"]


async def test_a_call_that_is_cancelled_closes_what_it_has_opened(site: Site, person: Person) -> None:
    site.routes["/never"] = never
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: person("open", url=site.url("/never")))
        assert await anyio.to_thread.run_sync(site.asked.wait, 30)
        group.cancel_scope.cancel()
    assert await person("pages") == []


async def test_no_process_is_left_when_the_host_is_killed(site: Site) -> None:
    program = f"""
import anyio
from constellation_tools.toolkits import browser_tools
async def main():
    async with browser_tools([{site.place!r}]) as tools:
        await tools.get("browser_open").call({{"url": {site.url()!r}}})
        print("open", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""
    host = await anyio.open_process([sys.executable, "-c", program], stderr=None)
    async with host:
        assert host.stdout is not None
        assert await BufferedByteReceiveStream(host.stdout).receive_until(b"\n", 100) == b"open"
        family = psutil.Process(host.pid).children(recursive=True)
        host.kill()
    assert len(family) > 3
    _, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(family, timeout=30))
    assert not alive


async def test_a_host_that_ends_without_closing_takes_its_browser_along(site: Site) -> None:
    program = f"""
import anyio
from constellation_tools.toolkits import browser_tools
tools = browser_tools([{site.place!r}])
print(anyio.run(tools.get("browser_open").call, {{"url": {site.url()!r}}})["title"])
"""
    done = await anyio.run_process([sys.executable, "-c", program])
    assert done.stdout == b"Home\n"
    assert done.stderr == b""
