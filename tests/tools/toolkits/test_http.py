"""The http toolkit: what it fetches, and what it can't be led to."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import pytest
import trustme

from constellation_tools import Confined, InvalidArguments, ToolContext, ToolFailed, ToolTimeout
from constellation_tools.toolkits import http_tools
from constellation_tools.toolkits.network import AllowList, is_public

pytestmark = pytest.mark.anyio


class Handler(BaseHTTPRequestHandler):
    """Answers by path; what was asked is kept in the server's `seen`."""

    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.handle_any(b"")

    def do_POST(self) -> None:
        self.handle_any(self.rfile.read(int(self.headers["Content-Length"])))

    def handle_any(self, body: bytes) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        route, _, rest = self.path.partition("?")
        if route == "/to":
            self.answer(int(rest[:3]), b"", Location=rest[4:])
        elif route == "/loop":
            self.answer(302, b"", Location="/loop")
        elif route == "/json":
            self.answer(404, b'{"a": 1}', Content_Type="application/json", X_Twice="1", x_twice="2")
        elif route == "/binary":
            self.answer(200, b"\x00\xff", Content_Type="image/png")
        elif route == "/latin":
            self.answer(200, "é".encode("latin-1"), Content_Type="text/plain; charset=latin-1")
        elif route == "/charset":
            self.answer(200, b"x", Content_Type="text/plain; charset=no-such")
        elif route == "/codec":
            self.answer(200, b"x" * 400_000, Content_Type=f'text/plain; charset="{rest}"')
        elif route == "/bare":
            self.answer(200, bytes.fromhex(rest))
        elif route == "/gzip":
            self.answer(200, b"x", Content_Encoding="gzip")
        elif route == "/chunked":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        elif route == "/garbage":
            self.wfile.write(b"no http at all\r\n\r\n")
            self.close_connection = True
        elif route == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            self.close_connection = True
        elif route == "/slow":
            self.server.release.wait(20)
            self.answer(200, b"late")
        else:
            self.answer(200, f"{self.command} {self.path} ".encode() + body, Content_Type="text/plain")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.release = threading.Event()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_port}"


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[tuple[Server, threading.Thread]] = []

    def start(tls: ssl.SSLContext | None = None) -> Server:
        server = Server()
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


async def get(server: Server, path: str, *, name: str = "http_get", **options: Any) -> Any:
    limits = {key: options.pop(key) for key in ("max_response_bytes",) if key in options}
    tools = http_tools([server.place], **limits)
    with anyio.fail_after(20):
        return await tools.get(name).call({"url": f"http://{server.place}{path}", **options})


async def test_a_page_is_fetched_with_its_status_and_headers(server: Server) -> None:
    answer = await get(server, "/json?a=b c#frag".replace(" ", "%20"))
    assert answer["status"] == 404
    assert (answer["text"], answer["file"]) == ('{"a": 1}', None)
    assert answer["headers"]["x-twice"] == "1, 2"
    assert answer["url"] == f"http://{server.place}/json?a=b%20c"


async def test_a_text_is_posted(server: Server) -> None:
    answer = await get(server, "/x", name="http_post", body="né", content_type="text/x", headers={"X-Own": "1"})
    assert answer["text"] == "POST /x né"
    _, _, headers, _ = server.seen[0]
    assert (headers["content-type"], headers["x-own"], headers["host"]) == ("text/x", "1", server.place)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/latin", "é"),
        ("/charset", "x"),
        ("/bare?c3a9", "é"),
        ("/chunked", "abcde"),
        ("/é€?q=ü", "GET /%C3%A9%E2%82%AC?q=%C3%BC "),
    ],
)
async def test_text_is_read_by_its_charset(server: Server, path: str, text: str) -> None:
    assert (await get(server, path))["text"] == text


@pytest.mark.parametrize("codec", ["punycode", "Raw-Unicode-Escape", "idna", "undefined", "hex", "rot13"])
async def test_codecs_that_are_no_character_sets_are_not_used(server: Server, codec: str) -> None:
    with anyio.fail_after(5):  # punycode alone would take longer
        assert (await get(server, f"/codec?{codec}"))["text"] == "x" * 400_000


@pytest.mark.parametrize("path", ["/binary", "/bare?00ff"])
async def test_what_is_not_text_becomes_a_file(server: Server, path: str) -> None:
    context = ToolContext()
    made = http_tools([server.place]).get("http_get")
    answer = await made.call({"url": f"http://{server.place}{path}"}, context)
    assert answer["text"] is None
    assert answer["file"]["size"] == 2
    adapted = made.output_schema
    assert adapted is not None
    from constellation_tools import Artifact

    assert context.path(Artifact.from_json(answer["file"])).read_bytes() == b"\x00\xff"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/garbage", "not valid HTTP"),
        ("/cut", "not valid HTTP"),
        ("/gzip", "compressed"),
        ("/loop", "redirects more than 5 times"),
        ("/to?302,ftp://127.0.0.1/", "not an http or https URL"),
    ],
)
async def test_an_answer_that_is_not_acceptable_says_why(server: Server, path: str, message: str) -> None:
    with pytest.raises(ToolFailed, match=message):
        await get(server, path)


async def test_an_answer_over_the_limit_is_refused(server: Server) -> None:
    assert (await get(server, "/12345", max_response_bytes=11))["text"] == "GET /12345 "
    with pytest.raises(ToolFailed, match="longer than 10 bytes"):
        await get(server, "/12345", max_response_bytes=10)


async def test_a_slow_answer_is_given_up_after_the_time_limit(server: Server) -> None:
    with pytest.raises(ToolTimeout, match="'http_get'"):
        await get(server, "/slow", timeout_s=0.1)


async def test_a_server_that_is_not_there_is_named(server: Server) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(ToolFailed, match=f"can't connect to {place}"):
            await http_tools([place]).get("http_get").call({"url": f"http://{place}/"})


@pytest.mark.parametrize("header", ["Host", "content-length", "Transfer-Encoding"])
async def test_headers_that_frame_the_request_are_not_the_callers(server: Server, header: str) -> None:
    with pytest.raises(ToolFailed, match=f"the header '{header.lower()}'"):
        await get(server, "/", headers={header: "1"})
    assert not server.seen


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "\0"])
async def test_nothing_is_injected_through_a_header(server: Server, value: str) -> None:
    with pytest.raises(ToolFailed, match="can't be sent"):
        await get(server, "/", headers={"X-A": value})
    assert not server.seen


async def test_redirects_are_followed_and_a_post_becomes_a_get(server: Server) -> None:
    answer = await get(server, "/to?303,/end", name="http_post", body="x")
    assert (answer["text"], answer["url"]) == ("GET /end ", f"http://{server.place}/end")
    assert "content-type" not in server.seen[1][2]
    kept = await get(server, "/to?307,/end", name="http_post", body="x")
    assert kept["text"] == "POST /end x"


async def test_a_redirect_to_another_host_is_checked_like_the_first(serve: Callable[..., Server]) -> None:
    first, second = serve(), serve()
    made = http_tools([first.place]).get("http_get")
    with pytest.raises(Confined, match="not among the hosts"):
        await made.call({"url": f"http://{first.place}/to?302,http://{second.place}/"})
    assert not second.seen


async def test_secrets_are_not_carried_to_another_server(serve: Callable[..., Server]) -> None:
    first, second = serve(), serve()
    made = http_tools([first.place, second.place]).get("http_get")
    headers = {"Authorization": "secret", "X-Api-Key": "secret", "Accept-Language": "de"}
    await made.call({"url": f"http://{first.place}/to?302,http://{second.place}/", "headers": headers})
    assert first.seen[0][2]["authorization"] == "secret"
    assert "secret" not in str(second.seen)
    assert second.seen[0][2]["accept-language"] == "de"


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "127.0.0.1", "127.1", "[::1]", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "169.254.169.254",
        "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[fe80::1]", "１２７.０.０.１",
    ],
)  # fmt: skip
async def test_an_allowed_name_does_not_lead_to_the_inside(host: str) -> None:
    tools = http_tools([host, "*"])
    with pytest.raises(Confined, match="not a public address"):
        await tools.get("http_get").call({"url": f"http://{host}/"})


async def test_the_connection_goes_to_the_address_that_was_checked(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = anyio.getaddrinfo

    async def once(host: Any, port: Any, **options: Any) -> Any:
        asked.append(host)
        if len(asked) > 1:
            raise AssertionError("the name was resolved again")
        return await real("127.0.0.1", port, **options)

    monkeypatch.setattr(anyio, "getaddrinfo", once)
    place = f"inside.test:{server.server_port}"
    answer = await http_tools([place]).get("http_get").call({"url": f"http://{place}/x"})
    assert answer["text"] == "GET /x "
    assert asked == ["inside.test"]
    assert server.seen[0][2]["host"] == place


async def test_a_name_that_does_not_resolve_is_named() -> None:
    with pytest.raises(ToolFailed, match=r"'nowhere\.invalid' can't be resolved"):
        await http_tools(["nowhere.invalid"]).get("http_get").call({"url": "http://nowhere.invalid/"})


async def test_certificates_are_checked_by_name(serve: Callable[..., Server]) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    server = serve(server_side)
    place = f"localhost:{server.server_port}"
    trusting = http_tools([place, server.place], ssl_context=client_side).get("http_get")
    with anyio.fail_after(20):
        assert (await trusting.call({"url": f"https://{place}/x"}))["text"] == "GET /x "
        with pytest.raises(ToolFailed, match="can't connect"):
            await trusting.call({"url": f"https://{server.place}/x"})
        with pytest.raises(ToolFailed, match="can't connect"):
            await http_tools([place]).get("http_get").call({"url": f"https://{place}/x"})


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("example.com", "http://example.com/", True),
        ("example.com", "https://EXAMPLE.com./a", True),
        ("example.com", "https://example.com:8443/", False),
        ("example.com", "https://www.example.com/", False),
        ("example.com", "https://example.com.evil.org/", False),
        ("example.com:8443", "https://example.com:8443/", True),
        ("example.com:8443", "https://example.com/", False),
        ("*.example.com", "https://a.b.example.com/", True),
        ("*.example.com", "https://example.com/", False),
        ("*.example.com", "https://evilexample.com/", False),
        ("*.example.com:81", "http://a.example.com:81/", True),
        ("*", "https://anything.org/", True),
        ("*", "https://anything.org:22/", False),
        ("bücher.de", "https://xn--bcher-kva.de/", True),
        ("[::1]:80", "http://[::1]/", True),
    ],
)
def test_the_list_allows_what_it_says_and_no_more(entry: str, url: str, allowed: bool) -> None:
    if allowed:
        AllowList([entry]).check(url)
    else:
        with pytest.raises(Confined):
            AllowList([entry]).check(url)


@pytest.mark.parametrize(
    "url",
    ["ftp://a.org", "file:///etc/passwd", "a.org", "http://", "http://u:p@a.org/", "http://a.org:99999/", "http://[::1/",
     "http://a.org/\r\nX: y", "http://a.org\\@evil.org/", "http://a b/", "http://" + "ü" * 70 + ".org/"],
)  # fmt: skip
def test_what_is_not_a_plain_url_is_refused(url: str) -> None:
    with pytest.raises(ToolFailed):
        AllowList(["*"]).check(url)


@pytest.mark.parametrize("entry", ["", "http://a.org", "a.org/x", "u@a.org", "a.*.org", "*a.org", "a.org:x", "[::1"])
def test_an_entry_that_is_not_a_host_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host to allow"):
        http_tools([entry])


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d822", True),
        ("2002:a00:1::1", False),
        ("2001:0:a00:1::1", False),
        ("::7f00:1", False),
        ("fec0::1", False),
        ("198.18.0.1", False),
    ],
)
def test_only_addresses_of_the_public_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_private_answer_is_skipped_where_a_public_one_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    from constellation_tools.toolkits.network import public_addresses

    async def both(host: str, port: int, **options: Any) -> Any:
        return [(0, 0, 0, "", ("10.0.0.1", port)), (0, 0, 0, "", ("93.184.216.34", port))]

    monkeypatch.setattr(anyio, "getaddrinfo", both)
    assert await public_addresses(AllowList(["a.org"]).check("http://a.org/")) == ["93.184.216.34"]


async def test_arguments_out_of_bounds_are_refused(server: Server) -> None:
    with pytest.raises(InvalidArguments, match="timeout_s"):
        await get(server, "/", timeout_s=0)


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "fe80::1", "::ffff:169.254.169.254", "224.0.0.1"])
async def test_a_name_with_a_port_may_lead_to_an_inner_service_but_never_to_link_local_addresses(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(host: str, port: int, **options: Any) -> Any:
        return [(0, 0, 0, "", (address, port))]

    monkeypatch.setattr(anyio, "getaddrinfo", answer)
    with pytest.raises(Confined, match="not a public address"):
        await http_tools(["api.test:8443"]).get("http_get").call({"url": "http://api.test:8443/"})


async def test_a_name_that_leads_elsewhere_when_it_is_asked_again_gains_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = ["93.184.216.34", "127.0.0.1"]
    connected: list[str] = []

    async def rebinding(host: str, port: int, **options: Any) -> Any:
        return [(0, 0, 0, "", (answers.pop(0), server.server_port))]

    async def connect(host: str, port: int, **options: Any) -> Any:
        connected.append(host)
        raise OSError("not reached in a test")

    monkeypatch.setattr(anyio, "getaddrinfo", rebinding)
    monkeypatch.setattr(anyio, "connect_tcp", connect)
    made = http_tools(["evil.test"]).get("http_get")
    with pytest.raises(ToolFailed, match="can't connect"):
        await made.call({"url": "http://evil.test/"})
    with pytest.raises(Confined, match=r"leads to 127\.0\.0\.1"):
        await made.call({"url": "http://evil.test/"})
    assert connected == ["93.184.216.34"]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:text/plain,x", "ftp://127.0.0.1/"])
async def test_a_redirect_leads_to_http_only(server: Server, url: str) -> None:
    with pytest.raises(ToolFailed, match="is not an http or https URL"):
        await http_tools([server.place, "*"]).get("http_get").call({"url": f"http://{server.place}/to?302,{url}"})


async def test_line_breaks_in_a_url_split_no_request(server: Server) -> None:
    for path in ("/x\r\nX-Injected: 1", "/x HTTP/1.1\r\n\r\nGET /y", "/x\n"):
        with pytest.raises(ToolFailed):
            await get(server, path)
    assert not server.seen
