"""One session of the device with an orchestrator: what is said in it, and the files that are carried in it.

A result that refers to files made here is held back until the orchestrator has taken them, so that whoever reads
the result finds the files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from anyio.abc import TaskGroup

from constellation_protocol.artifacts import ArtifactStore
from constellation_protocol.errors import ArtifactError, LinkClosed
from constellation_protocol.link import Link
from constellation_protocol.messages import ArtifactInfo, ErrorInfo, Message, Result
from constellation_protocol.transfer import ArtifactMessage, ArtifactTransfers

from .attempts import Attempt
from .failures import ARTIFACT_UNAVAILABLE
from .outbox import Outbox


class Session:
    """What the agent does with one link. Everything in it ends with the session, nothing outside of it does.

    Attributes:
        link: The link.
        epoch: The session's epoch, which everything said in it carries.
        task_group: Tasks that end with the session.
        carries_files: Whether files can still be carried in it.
    """

    def __init__(
        self,
        link: Link,
        store: ArtifactStore,
        task_group: TaskGroup,
        *,
        sent: Callable[[Sequence[Message]], None] | None,
    ) -> None:
        """Begin to serve a link in a task group that ends with the session; `sent` is told what the link took."""
        self.link = link
        self.epoch = link.welcome.epoch
        self.task_group = task_group
        self._outbox = Outbox(link, sent=sent)
        self._transfers = ArtifactTransfers(link, store)
        self.carries_files = True
        task_group.start_soon(self._send, name="device outbox")
        task_group.start_soon(self._carry_files, name="device transfers")

    def say(self, *messages: Message) -> None:
        """Send messages as soon as the link takes them."""
        self._outbox.put(*messages)

    def report(self, attempt: Attempt) -> None:
        """Send the attempt's progress as soon as the link takes it."""
        self._outbox.report(attempt)

    def deliver(self, *results: Result, keep: Callable[[Result], None]) -> None:
        """Send results, each after the files that it refers to.

        Args:
            results: The results, from this session or an earlier one.
            keep: Keeps another result in the place of one whose files can't be carried.
        """
        plain: list[Result] = []
        for result in results:
            if result.epoch != self.epoch:
                result = replace(result, epoch=self.epoch)
            if result.artifacts:
                self.task_group.start_soon(self._deliver_files, result, keep, name="device files")
            else:
                plain.append(result)
        self._outbox.put(*plain)

    async def fetch(self, info: ArtifactInfo) -> None:
        """Bring a file from the orchestrator into the store.

        Raises:
            ArtifactError: it can't be had.
            LinkClosed: the session has ended before it was here.
        """
        try:
            await self._transfers.want(info)
        except ArtifactError as error:
            if not self.carries_files:
                raise LinkClosed(str(error)) from error
            raise

    def take_artifact_message(self, message: ArtifactMessage) -> None:
        """Take what the orchestrator says of files."""
        self._transfers.handle(message)

    async def _deliver_files(self, result: Result, keep: Callable[[Result], None]) -> None:
        try:
            for info in result.artifacts:
                await self._transfers.offer(info)
        except ArtifactError as error:
            if not self.carries_files:
                return  # it is kept, and delivered in the next session
            failure = ErrorInfo(
                type=ARTIFACT_UNAVAILABLE, message=f"a file that the tool made could not be carried: {error}"
            )
            result = replace(result, status="failed", output=None, artifacts=(), error=failure)
            keep(result)
        self._outbox.put(result)

    async def _send(self) -> None:
        with suppress(LinkClosed):  # whoever receives from the link learns of its end too, and ends the session
            await self._outbox.run()

    async def _carry_files(self) -> None:
        try:
            await self._transfers.run()
        finally:
            self.carries_files = False  # set before those who wait for a file learn that it does not come
