"""What an A2A agent says of a task, event by event, as one story: progress on the way, and in the end an output.

Events are those of A2A 1.0 (https://a2a-protocol.org), in their JSON form. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

Json = Mapping[str, Any]
Keep = Callable[[str, str, str], Json]
"""Keeps a file, given as base64 with its name and media type, and returns the reference to it."""

State = Literal["working", "completed", "failed", "canceled", "rejected", "input required"]

_STATES: Mapping[str, State] = {
    "TASK_STATE_COMPLETED": "completed",
    "TASK_STATE_FAILED": "failed",
    "TASK_STATE_CANCELED": "canceled",
    "TASK_STATE_REJECTED": "rejected",
    "TASK_STATE_INPUT_REQUIRED": "input required",
    "TASK_STATE_AUTH_REQUIRED": "input required",
}

MAX_CHARS = 16_000_000
"""How much an agent may send as the output of one task."""


class TooMuch(ValueError):
    """Raised when an agent sends more than `MAX_CHARS`."""


class TaskStory:
    """One task.

    Attributes:
        task: Its id, once the agent has given one.
        state: Where it stands.
        said: What the agent last said of its state.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.task = ""
        self.state: State = "working"
        self.said = ""
        self._artifacts: dict[str, list[Json]] = {}
        self._message: list[Json] = []
        self._chars = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come."""
        return self.state != "working"

    def take(self, event: Json) -> str | None:
        """Take in an event; returns what is worth reporting.

        Raises:
            TooMuch: the output is too long.
        """
        if "message" in event:
            self._message = self._counted(event["message"].get("parts", ()))
            self.state = "completed"
            return None
        if "task" in event:
            return self.take_task(event["task"])
        if "statusUpdate" in event:
            update = event["statusUpdate"]
            self.task = update.get("taskId", self.task)
            return self._take_status(update.get("status", {}))
        if "artifactUpdate" in event:
            update = event["artifactUpdate"]
            artifact = update.get("artifact", {})
            parts = self._counted(artifact.get("parts", ()))
            known = self._artifacts.setdefault(artifact.get("artifactId", ""), [])
            if not update.get("append"):
                known.clear()
            known += parts
        return None

    def take_task(self, task: Json) -> str | None:
        """Take in a task as a whole; returns what is worth reporting."""
        self.task = task.get("id", self.task)
        for artifact in task.get("artifacts", ()):
            self._artifacts[artifact.get("artifactId", "")] = self._counted(artifact.get("parts", ()))
        return self._take_status(task.get("status", {}))

    def output(self, keep: Keep) -> Any:
        """What the task came to: its artifacts, or the message that it ended with.

        Text comes as text, and a single piece of data as it is; where there are files, an object has all of it.
        """
        parts = [part for each in self._artifacts.values() for part in each] or self._message
        text = "\n".join(_texts(parts))
        data = [part["data"] for part in parts if "data" in part]
        files = [_file(part, keep) for part in parts if "raw" in part or "url" in part]
        if files:
            return {"text": text, "data": data, "files": files}
        if data and not text:
            return data[0] if len(data) == 1 else data
        return {"text": text, "data": data} if data else text

    def _take_status(self, status: Json) -> str | None:
        self.state = _STATES.get(status.get("state", ""), "working")
        message = status.get("message")
        if message is None:
            return None
        parts = self._counted(message.get("parts", ()))
        self.said = "\n".join(_texts(parts))
        if self.state == "completed":
            self._message = parts
            return None
        return self.said or None

    def _counted(self, parts: Iterable[Json]) -> list[Json]:
        found = list(parts)
        self._chars += sum(len(str(part.get("text") or part.get("raw") or part.get("data") or "")) for part in found)
        if self._chars > MAX_CHARS:
            raise TooMuch(f"the agent has sent more than {MAX_CHARS} characters")
        return found


def _texts(parts: Iterable[Json]) -> list[str]:
    return [part["text"] for part in parts if part.get("text")]


def _file(part: Json, keep: Keep) -> Json:
    name, media_type = part.get("filename", ""), part.get("mediaType", "")
    if "raw" in part:
        return keep(part["raw"], name, media_type)
    return {"url": part["url"], "name": name, "media_type": media_type}
