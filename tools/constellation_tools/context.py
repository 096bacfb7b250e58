"""What a running tool may ask of the machine it runs on: which try it is, progress, files, whether it should stop.

A device agent makes a context for each call and plugs its own functions into it. A context made without any
works everywhere: progress goes nowhere and files are kept in a temporary directory until the context is gone.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from .artifact import Artifact, copied_into
from .errors import ArtifactUnavailable, ToolCancelled, ToolsError

ProgressSink = Callable[[str | None, float | None, Any], None]
"""Takes a log line, a share of the work done and partial output, each of which may be None."""

ArtifactStore = Callable[[Path | bytes, str, str], Artifact]
"""Keeps a file or bytes under a name and a media type, and returns the artifact."""

ArtifactResolver = Callable[[Artifact], Path]
"""Finds the local file of an artifact, or raises ArtifactUnavailable."""

ToolCaller = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Calls another tool by its name with JSON arguments, and gives its result or raises what it has raised."""


class ToolContext:
    """The surroundings of one call. A parameter annotated with it is filled in and never appears in the schema."""

    def __init__(
        self,
        *,
        attempt: str = "",
        workdir: Path | None = None,
        progress: ProgressSink | None = None,
        store: ArtifactStore | None = None,
        resolve: ArtifactResolver | None = None,
        cancelled: Callable[[], bool] | None = None,
        call: ToolCaller | None = None,
    ) -> None:
        """Plug in what the host offers; whatever is left out works locally.

        Args:
            attempt: The id of this try.
            workdir: The directory that the call works in; the process's own when None.
            progress: Called from the tool's own thread, by one call at a time.
            store: Keeps a file; may be called from the tool's own thread.
            resolve: Finds a kept file; may be called from the tool's own thread.
            cancelled: Whether the call should stop; may be called from the tool's own thread.
            call: Calls other tools.
        """
        if store is None or resolve is None:
            local = _LocalFiles()
            store, resolve = store or local.keep, resolve or local.find
        self._attempt = attempt
        self._workdir = workdir
        self._progress = progress
        self._store = store
        self._resolve = resolve
        self._cancelled = cancelled
        self._call = call
        self._stopped = False
        self._lock = threading.Lock()

    @property
    def attempt(self) -> str:
        """The id of this try of a star, which no other try ever has; empty where the tool is called by itself.

        What the work is done at can tell by it whether it has seen this try before: it makes a good idempotency key.
        """
        return self._attempt

    @property
    def workdir(self) -> Path:
        """The directory that the call works in."""
        return self._workdir or Path.cwd()

    def progress(self, text: str | None = None, *, fraction: float | None = None, data: Any = None) -> None:
        """Report how far the work is; may be called from any thread.

        Args:
            text: A log line.
            fraction: The share of the work done, from 0 to 1.
            data: Partial output, as JSON types.

        Raises:
            ValueError: the fraction is not between 0 and 1.
        """
        if fraction is not None and not 0 <= fraction <= 1:
            raise ValueError(f"fraction is a share between 0 and 1, not {fraction}")
        if self._progress is not None:
            with self._lock:
                self._progress(text, fraction, data)

    def artifact(self, source: Path | bytes, *, name: str = "", media_type: str = "") -> Artifact:
        """Keep a file so that it can travel to other machines.

        Args:
            source: The file's path, relative to `workdir` unless absolute, or its content.
            name: What people call it; the file's own name when empty.
            media_type: Its MIME type, if known.

        Raises:
            OSError: the file can't be read or kept.
        """
        if isinstance(source, Path):
            source = self.workdir / source
            name = name or source.name
        return self._store(source, name, media_type)

    def path(self, artifact: Artifact) -> Path:
        """Return the local file of an artifact.

        Raises:
            ArtifactUnavailable: the file is not on this machine.
        """
        return self._resolve(artifact)

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """Call another tool of the same runner, under its policy, and return its result as JSON types.

        A tool that runs in a thread writes `anyio.from_thread.run(context.call, "name", {...})`.

        Args:
            tool: Its name.
            arguments: Values by parameter name, as JSON types.

        Raises:
            ToolsError: there are no other tools here, or this call has ended meanwhile.
            Exception: whatever the other tool raises.
        """
        if self._call is None:
            raise ToolsError(f"{tool!r} can't be called from here: only tools that a ToolRunner runs can call others")
        return await self._call(tool, arguments)

    @property
    def cancelled(self) -> bool:
        """Whether the call has been cancelled or has timed out: its result is no longer wanted."""
        return self._stopped or (self._cancelled is not None and self._cancelled())

    def check_cancelled(self) -> None:
        """Raise when the call should stop; a tool in a thread calls this where stopping is safe.

        Raises:
            ToolCancelled: the call has been cancelled or has timed out.
        """
        if self.cancelled:
            raise ToolCancelled("the call was cancelled")

    def cancel(self) -> None:
        """Tell the tool to stop at its next check."""
        self._stopped = True

    def for_call(
        self, *, attempt: str | None = None, progress: ProgressSink | None = None, call: ToolCaller | None = None
    ) -> ToolContext:
        """Return a context for one call with the same surroundings, which can be cancelled alone.

        Args:
            attempt: The id of this try, if it has one of its own.
            progress: Where progress goes in place of this context's own.
            call: How the call calls other tools, in place of this context's own way.
        """
        return ToolContext(
            attempt=self._attempt if attempt is None else attempt,
            workdir=self._workdir,
            progress=progress or (self._progress and self._locked_progress),
            store=self._store,
            resolve=self._resolve,
            cancelled=lambda: self.cancelled,
            call=call or self._call,
        )

    def _locked_progress(self, text: str | None, fraction: float | None, data: Any) -> None:
        self.progress(text, fraction=fraction, data=data)


class _LocalFiles:
    """Keeps artifacts in a temporary directory that is made when first needed and goes when nobody holds it."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._lock = threading.Lock()

    def keep(self, source: Path | bytes, name: str, media_type: str) -> Artifact:
        with self._lock:
            if self._root is None:
                self._root = Path(tempfile.mkdtemp(prefix="constellation-artifacts-"))
                weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
            root = self._root
        incoming = copied_into(root, source)
        artifact = Artifact.of_file(incoming, name=name, media_type=media_type)
        kept = root / artifact.sha256
        incoming.replace(kept)
        return Artifact(artifact.sha256, artifact.size, name, media_type).at(kept)

    def find(self, artifact: Artifact) -> Path:
        kept = None if self._root is None else self._root / artifact.sha256
        if kept is None or not kept.is_file():
            raise ArtifactUnavailable(
                f"artifact {artifact.name or artifact.sha256[:12]!r} is not kept here; "
                "only artifacts made through this context can be opened"
            )
        return kept
