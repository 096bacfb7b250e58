"""Checks of files, both ways; skipped for devices without the tools `make_file` and `measure_file`."""

from __future__ import annotations

import hashlib

from constellation_protocol.download import WINDOW_BYTES
from constellation_protocol.messages import ArtifactDone, ArtifactInfo, ArtifactOffer, Hello, Reject, Result

from ..errors import CheckFailed, CheckSkipped
from ..files import ask, fetch, fetch_window, pattern, pieces, reference, requested, serve
from ..kit import check
from ..stage import Stage

SIZE = 3 * 1024 * 1024 + 17
"""More than one window of a transfer, and no multiple of a piece."""


def _needs(hello: Hello, tool: str) -> None:
    if tool not in {offered.name for offered in hello.profile.tools}:
        raise CheckSkipped(f"the device has no tool {tool!r}")


@check
async def sends_a_file(stage: Stage) -> None:
    """A file is offered before the result that refers to it, and sent in pieces that are asked for."""
    async with stage.device():
        peer, hello = await stage.session()
        _needs(hello, "make_file")
        attempt = await peer.assign("make_file", {"size": SIZE})
        offer = await peer.first(ArtifactOffer)
        data = await fetch(peer, offer.artifact)
        peer.expect(data == pattern(SIZE), "the file is not the one that 'make_file' has to make")
        peer.expect(not peer.of(Result, attempt), "the result came before the file had arrived")
        await ask(peer, offer.artifact, SIZE)
        result = await peer.result(attempt)
        peer.expect(offer.artifact in result.artifacts, "'artifacts' of the result does not list the file")
        named = result.output.get("$artifact") if isinstance(result.output, dict) else None
        peer.expect(named == offer.artifact.sha256, f"the output does not refer to the file: {result.output!r}")


@check
async def sends_a_file_from_an_offset(stage: Stage) -> None:
    """A request with an offset is answered from there, no further than a window, and one with a smaller starts over."""
    async with stage.device():
        peer, hello = await stage.session()
        _needs(hello, "make_file")
        attempt = await peer.assign("make_file", {"size": SIZE})
        info = (await peer.first(ArtifactOffer)).artifact
        tail = await fetch(peer, info, offset=SIZE - 100_000)
        peer.expect(tail == pattern(SIZE)[-100_000:], "the bytes from an offset on are not those of the file")
        head = await fetch(peer, info)
        peer.expect(head == pattern(SIZE), "the bytes from the start on are not those of the file")
        await ask(peer, info, SIZE)
        await peer.result(attempt)


@check
async def sends_no_piece_that_was_not_asked_for(stage: Stage) -> None:
    """No more than 2 MiB beyond the offset of the last request are sent, in pieces of 256 KiB at most."""
    async with stage.device():
        peer, hello = await stage.session()
        _needs(hello, "make_file")
        await peer.assign("make_file", {"size": SIZE})
        info = (await peer.first(ArtifactOffer)).artifact
        await fetch_window(peer, info)
        await peer.ping()
        peer.expect(not pieces(peer, info), f"more than the {WINDOW_BYTES} bytes came that one request allows")


@check
async def goes_on_with_a_file_after_a_cut(stage: Stage) -> None:
    """A file whose sending was cut goes on after the session is resumed, and arrives whole."""
    async with stage.device():
        peer, hello = await stage.session()
        _needs(hello, "make_file")
        attempt = await peer.assign("make_file", {"size": SIZE})
        info = (await peer.first(ArtifactOffer)).artifact
        await fetch_window(peer, info)
        await stage.resumed(peer)
        data = await fetch(peer, info, offset=WINDOW_BYTES)
        peer.expect(data == pattern(SIZE)[WINDOW_BYTES:], "the rest of the file is not as it should be")
        await ask(peer, info, SIZE)
        await peer.result(attempt)


@check
async def fetches_a_file(stage: Stage) -> None:
    """A file that work refers to is fetched before the work begins, and its arrival confirmed."""
    content = pattern(SIZE)
    info = ArtifactInfo(sha256=hashlib.sha256(content).hexdigest(), size=SIZE, name="../../given.bin")
    async with stage.device():
        peer, hello = await stage.session()
        _needs(hello, "measure_file")
        attempt = await peer.assign("measure_file", {"file": reference(info)}, artifacts=(info,))
        await serve(peer, info, content)
        result = await peer.result(attempt)
        wanted = {"size": SIZE, "sha256": info.sha256}
        peer.expect(result.output == wanted, f"'measure_file' has to return {wanted}; it returned {result.output!r}")


@check
async def fetches_an_empty_file(stage: Stage) -> None:
    """A file of no bytes is fetched and confirmed like any other."""
    info = ArtifactInfo(sha256=hashlib.sha256(b"").hexdigest(), size=0, name="empty")
    async with stage.device():
        peer, hello = await stage.session()
        _needs(hello, "measure_file")
        attempt = await peer.assign("measure_file", {"file": reference(info)}, artifacts=(info,))
        await serve(peer, info, b"")
        result = await peer.result(attempt)
        peer.expect(result.output["size"] == 0, f"'measure_file' returned {result.output!r} for an empty file")


@check
async def uses_no_file_with_another_digest(stage: Stage) -> None:
    """Bytes that are not those which were announced are never used: the work fails or is rejected."""
    info = ArtifactInfo(sha256=hashlib.sha256(b"what was announced").hexdigest(), size=18)
    async with stage.device():
        peer, hello = await stage.session()
        _needs(hello, "measure_file")
        attempt = await peer.assign("measure_file", {"file": reference(info)}, artifacts=(info,))
        await serve(peer, info, b"what was forged!!!", given_up=lambda: peer.ending(attempt) is not None)
        _expect_no_success(peer.ending(attempt))


@check
async def fails_work_whose_file_is_gone(stage: Stage) -> None:
    """Work whose file the orchestrator can't send fails or is rejected."""
    info = ArtifactInfo(sha256=hashlib.sha256(b"nobody has it").hexdigest(), size=13)
    async with stage.device():
        peer, hello = await stage.session()
        _needs(hello, "measure_file")
        attempt = await peer.assign("measure_file", {"file": reference(info)}, artifacts=(info,))
        await requested(peer, info)
        await peer.send(ArtifactDone(sha256=info.sha256, error="it is not here"))
        _expect_no_success(await peer.until(lambda: peer.ending(attempt), f"the end of {attempt!r}"))


def _expect_no_success(ending: Result | Reject | None) -> None:
    if isinstance(ending, Result) and ending.status == "succeeded":
        raise CheckFailed("the work succeeded without its file")
    if isinstance(ending, Reject) and ending.code != "artifact":
        raise CheckFailed(f"work whose file can't be had was rejected as {ending.code!r}; expected 'artifact'")
