"""The browser toolkit: what each of its tools does, with a real Chromium and a real site."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from constellation_tools import ToolFailed, ToolTimeout
from constellation_tools.toolkits import browser_tools
from constellation_tools.toolkits.browser_program import find_chromium
from constellation_tools.toolkits.processes import ProcessLimits

from .browsing import Person, Site, running_site

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.e2e,
    pytest.mark.requires("chromium"),
    pytest.mark.requires_module("playwright", "markdownify"),
]

FORM = """
<title>Order</title><h1>Tea</h1>
<label>Name <input id=name></label>
<label>Kind <select id=kind><option>green<option>black</select></label>
<button onclick="out.innerText = document.getElementById('name').value + ' takes ' +
  document.getElementById('kind').value">Order</button>
<input aria-label=search onkeydown="if (event.key == 'Enter') out.innerText = 'looking for ' + this.value">
<p id=out></p>
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as site:
        site.routes["/"] = "<title>Home</title><h1>Welcome</h1><p>to <a href='/order'>the shop</a></p>"
        site.routes["/order"] = FORM
        yield site


@pytest.fixture
async def person(site: Site, tmp_path: Path) -> AsyncIterator[Person]:
    root = tmp_path / "root"
    root.mkdir()
    async with browser_tools([site.place], root=root, max_file_bytes=1000) as tools:
        yield Person(tools)


async def test_a_page_is_opened_and_read_in_each_form(site: Site, person: Person) -> None:
    opened = await person("open", url=site.url())
    assert opened == {"page": "p1", "url": site.url(), "title": "Home", "notes": []}
    snapshot = await person("read")
    assert '- heading "Welcome" [level=1] [ref=e' in snapshot["text"]
    assert snapshot["next_offset"] is None
    assert (await person("read", form="markdown"))["text"] == "# Welcome\n\nto [the shop](/order)"
    assert (await person("read", form="text"))["text"] == "Welcome\n\nto the shop"
    assert await person("links") == [{"text": "the shop", "url": site.url("/order")}]


async def test_a_long_page_is_read_piece_by_piece(site: Site, person: Person) -> None:
    site.routes["/long"] = "<p>" + "0123456789" * 5
    await person("open", url=site.url("/long"))
    first = await person("read", form="text", limit=30)
    second = await person("read", form="text", limit=30, offset=first["next_offset"])
    assert first["text"] + second["text"] == "0123456789" * 5
    assert second["next_offset"] is None


async def test_a_form_is_filled_in_and_a_link_followed_and_gone_back_from(site: Site, person: Person) -> None:
    await person("open", url=site.url())
    clicked = await person("click", ref=await person.ref('link "the shop"'))
    assert (clicked["url"], clicked["title"]) == (site.url("/order"), "Order")
    await person("fill", ref=await person.ref('textbox "Name"'), text="Ada")
    await person("select", ref=await person.ref('combobox "Kind"'), options=["black"])
    await person("click", ref=await person.ref('button "Order"'))
    await person("wait", text="Ada takes black")
    search = await person.ref('textbox "search"')
    await person("fill", ref=search, text="cups")
    await person("press", key="Enter", ref=search)
    await person("wait", text="looking for cups")
    await person("wait", text="Ada takes black", gone=True)
    assert (await person("back"))["title"] == "Home"
    await person("press", key="End")


async def test_a_screenshot_is_a_file(site: Site, tmp_path: Path) -> None:
    async with browser_tools([site.place]) as tools:
        person = Person(tools)
        await person("open", url=site.url())
        for arguments in ({}, {"full_page": True}, {"ref": await person.ref('heading "Welcome"')}):
            file = await person("screenshot", **arguments)
            assert file["media_type"] == "image/png"
            kept = person.context.path(type(person.context.artifact(b"x")).from_json(file))
            assert kept.read_bytes().startswith(b"\x89PNG")


async def test_a_picture_that_is_too_large_is_refused(site: Site, person: Person) -> None:
    await person("open", url=site.url())
    with pytest.raises(ToolFailed, match="1000 is the limit"):
        await person("screenshot")


async def test_several_pages_are_open_at_once_and_used_side_by_side(site: Site, person: Person) -> None:
    await person("open", url=site.url())
    second = await person("open", url=site.url("/order"), new_page=True)
    assert second["page"] == "p2"
    assert (await person("read", page="p1", form="text"))["title"] == "Home"
    async with anyio.create_task_group() as group:
        for page in ("p1", "p2", "p1", "p2"):
            group.start_soon(lambda page=page: person("read", page=page))
    assert await person("pages") == [
        {"page": "p1", "url": site.url()},
        {"page": "p2", "url": site.url("/order")},
    ]
    await person("close", page="p2")
    assert [each["page"] for each in await person("pages")] == ["p1"]
    with pytest.raises(ToolFailed, match="there is no page 'p2'; there are: p1"):
        await person("read", page="p2")


async def test_a_page_that_opens_another_one_says_so(site: Site, person: Person) -> None:
    site.routes["/opener"] = "<a href='/' target=_blank>other</a>"
    await person("open", url=site.url("/opener"))
    clicked = await person("click", ref=await person.ref('link "other"'))
    assert clicked["notes"] == ["another page was opened: p2"]
    await person("wait", text="Welcome", page="p2")


async def test_frames_are_in_a_snapshot_and_can_be_acted_on(site: Site, person: Person) -> None:
    site.routes["/framed"] = "<title>outer</title><iframe src='/inner'></iframe>"
    site.routes["/inner"] = "<button onclick='this.innerText = \"done\"'>inside</button>"
    await person("open", url=site.url("/framed"))
    await person("click", ref=await person.ref('button "inside"'))
    assert 'button "done"' in (await person("read"))["text"]


async def test_a_file_that_a_page_sends_is_taken_as_artifact_and_into_the_root(
    site: Site, person: Person, tmp_path: Path
) -> None:
    sent = {"Content-Disposition": "attachment; filename=prices.csv", "Content-Type": "text/csv"}
    site.routes["/prices"] = (200, sent, b"tea,4\n")
    for _ in range(2):
        opened = await person("open", url=site.url("/prices"))
        assert opened["notes"] == ["the page sends the file prices.csv: take it with browser_downloads"]
    first, second = await person("downloads", save_in="got")
    assert (first["name"], first["url"], first["problem"]) == ("prices.csv", site.url("/prices"), None)
    assert first["file"]["size"] == 6
    assert (first["saved_as"], second["saved_as"]) == ("got/prices.csv", "got/prices (2).csv")
    assert (tmp_path / "root/got/prices (2).csv").read_bytes() == b"tea,4\n"
    assert await person("downloads") == []


async def test_cookies_last_until_the_browser_is_closed(site: Site, person: Person) -> None:
    site.routes["/login"] = (200, {"Set-Cookie": "user=ada; Max-Age=9999", "Content-Type": "text/html"}, b"in")
    await person("open", url=site.url("/login"))
    await person("open", url=site.url())
    await person("close")
    await person("open", url=site.url())
    asked = [cookie for path, cookie in site.seen if path == "/"]
    assert asked == ["user=ada", ""]


async def test_mistakes_are_told_in_words(site: Site, person: Person) -> None:
    opened = await person("open", url=site.url("/nowhere"))
    assert opened["notes"] == ["the server answered with status 404"]
    with pytest.raises(ToolFailed, match="there is no element e99 any more, or not yet"):
        await person("click", ref="e99")
    with pytest.raises(ToolFailed, match="is no reference"):
        await person("click", ref="text=Order")
    with pytest.raises(ToolTimeout, match="browser_wait"):
        await person("wait", text="never", timeout_s=0.2)
    assert (await person("read", form="text"))["text"] == "not here"  # the page is still there
    await person("open", url=site.url(), new_page=True)
    await person("back")
    with pytest.raises(ToolFailed, match="there is nothing to go back to"):
        await person("back")
    async with browser_tools([site.place]) as rootless:
        with pytest.raises(ToolFailed, match="have no root"):
            await Person(rootless)("downloads", save_in="x")


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_it_works_from_trio(site: Site, anyio_backend: str) -> None:
    async with browser_tools([site.place]) as tools:
        assert (await Person(tools)("open", url=site.url()))["title"] == "Home"


async def test_nothing_runs_before_the_first_call_or_after_it_is_closed(site: Site) -> None:
    before = set(psutil.Process().children(recursive=True))
    tools = browser_tools([site.place])
    assert set(psutil.Process().children(recursive=True)) == before
    async with tools:
        await Person(tools)("open", url=site.url())
        assert len(set(psutil.Process().children(recursive=True)) - before) > 2
    assert set(psutil.Process().children(recursive=True)) == before
    with pytest.raises(ToolFailed, match="are closed"):
        await Person(tools)("open", url=site.url())


def command_of(process: psutil.Process) -> str:
    """The command line; nothing of a process that has ended, as those may have that other tests have left."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


async def test_a_browser_that_ends_is_started_anew(site: Site, person: Person) -> None:
    await person("open", url=site.url())
    family = {process: command_of(process) for process in psutil.Process().children(recursive=True)}
    (main,) = [
        process
        for process, command in family.items()
        if "--remote-debugging-pipe" in command and "--type" not in command and "supervisor.py" not in command
    ]
    main.kill()
    main.wait(30)
    with pytest.raises(ToolFailed, match=r"the browser (has ended|says)|there is no page"):
        await person("read", page="p1")
    assert (await person("open", url=site.url()))["title"] == "Home"


async def test_what_can_not_be_started_is_named(site: Site, tmp_path: Path) -> None:
    async with browser_tools([site.place], executable=tmp_path / "none") as tools:
        with pytest.raises(ToolFailed, match="none is not a program"):
            await Person(tools)("open", url=site.url())
    async with browser_tools([site.place], executable=Path("/bin/false")) as tools:
        with pytest.raises(ToolFailed, match="/bin/false can't be started"):
            await Person(tools)("open", url=site.url())


async def test_memory_is_limited(site: Site) -> None:
    site.routes["/greedy"] = "<script>let a = []; while (true) a.push(new Uint8Array(1e7).fill(1))</script>"
    async with browser_tools([site.place], limits=ProcessLimits(memory_bytes=900 * 1024**2, processes=1024)) as tools:
        person = Person(tools)
        with pytest.raises(ToolFailed, match="it used too much of its memory"):
            await person("open", url=site.url("/greedy"), timeout_s=60)
        assert (await person("open", url=site.url()))["title"] == "Home"


def test_a_machine_without_browser_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolFailed, match="apt install chromium"):
        find_chromium(None)
