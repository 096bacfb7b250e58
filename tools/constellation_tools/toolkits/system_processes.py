"""The processes of a machine and the ports that they listen on: bounded lists, and one process in detail."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeVar

import psutil
from pydantic import Field
from typing_extensions import TypedDict

from ..context import ToolContext
from ..errors import ToolFailed
from ..tool import tool
from ..wording import cleaned

MAX_PROCESSES = 500
"""The most processes that a call lists."""

MAX_PORTS = 1000
"""The most ports that a call lists."""

MAX_RELATED = 100
"""How many children, ports and names of variables are told of one process."""

MEASURE_S = 0.3
"""For how long processors are watched to tell which process uses them."""

_TEXT = 500
_NOT_TOLD = (psutil.AccessDenied, psutil.ZombieProcess, OSError)

T = TypeVar("T")


class SystemProcess(TypedDict):
    """A process: percent of one processor, memory in bytes, and how long ago it was started in seconds."""

    pid: int
    name: str
    user: str | None
    status: str
    cpu_percent: float
    memory_bytes: int | None
    age_s: float


class SystemProcesses(TypedDict):
    """Processes, and how many there are that fit; more of them than are listed when it is `truncated`."""

    processes: list[SystemProcess]
    total: int
    truncated: bool


class SystemProcessDetails(TypedDict):
    """A process in detail; what this device's user may not see is null. Of its environment there are only names."""

    pid: int
    parent: int | None
    children: list[int]
    name: str
    program: str | None
    directory: str | None
    user: str | None
    status: str
    age_s: float
    threads: int | None
    open_files: int | None
    cpu_s: float | None
    memory_bytes: int | None
    ports: list[int] | None
    environment: list[str] | None


class SystemPort(TypedDict):
    """A port that something listens on; who it is may be hidden from this device's user."""

    protocol: Literal["tcp", "udp"]
    address: str
    port: int
    pid: int | None
    name: str | None


@tool(read_only=True, open_world=False)
def system_processes(
    context: ToolContext,
    name: str = "*",
    user: str = "*",
    sort_by: Literal["cpu", "memory", "age", "pid"] = "cpu",
    limit: Annotated[int, Field(ge=1, le=MAX_PROCESSES)] = 50,
) -> SystemProcesses:
    """List processes of this machine, those first that use most.

    Args:
        context: Tells when to stop.
        name: Pattern for their names, such as `python*`.
        user: Pattern for the names of the users that they belong to.
        sort_by: What they are sorted by: processor, memory, the youngest first, or number.
        limit: The most processes to list.
    """
    watched = []
    for process in psutil.process_iter(["name", "username"]):
        context.check_cancelled()
        fits = fnmatchcase(process.info["name"] or "", name) and fnmatchcase(process.info["username"] or "", user)
        if fits and _seen(process.cpu_percent) is not None:
            watched.append(process)
    time.sleep(MEASURE_S)
    found = [told for process in watched if (told := _told(process)) is not None]
    keys: dict[str, Callable[[SystemProcess], float]] = {
        "cpu": lambda each: -each["cpu_percent"],
        "memory": lambda each: -(each["memory_bytes"] or 0),
        "age": lambda each: each["age_s"],
        "pid": lambda each: each["pid"],
    }
    found.sort(key=keys[sort_by])
    return {"processes": found[:limit], "total": len(found), "truncated": len(found) > limit}


@tool(read_only=True, open_world=False)
def system_process(pid: Annotated[int, Field(ge=0)]) -> SystemProcessDetails:
    """Describe one process of this machine: its program, family, use of resources, ports, names of variables.

    Args:
        pid: Its number.
    """
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            memory, times = _seen(process.memory_info), _seen(process.cpu_times)
            sockets, variables = _seen(lambda: process.net_connections("inet")), _seen(process.environ)
            children = _seen(process.children) or []
            return {
                "pid": pid,
                "parent": _seen(process.ppid),
                "children": [child.pid for child in children[:MAX_RELATED]],
                "name": cleaned(process.name(), _TEXT),
                "program": _text(process.exe),
                "directory": _text(process.cwd),
                "user": _text(process.username),
                "status": process.status(),
                "age_s": round(time.time() - process.create_time(), 1),
                "threads": _seen(process.num_threads),
                "open_files": _seen(process.num_fds),
                "cpu_s": None if times is None else round(times.user + times.system, 2),
                "memory_bytes": None if memory is None else memory.rss,
                "ports": None if sockets is None else _listening(sockets),
                "environment": None if variables is None else _names(variables),
            }
    except psutil.NoSuchProcess as error:
        raise ToolFailed(f"there is no process {pid}") from error


@tool(read_only=True, open_world=False)
def system_ports(limit: Annotated[int, Field(ge=1, le=MAX_PORTS)] = 200) -> list[SystemPort]:
    """List the TCP and UDP ports that something listens on, on this machine.

    Args:
        limit: The most ports to list.
    """
    try:
        connections = psutil.net_connections("inet")
    except psutil.AccessDenied as error:
        raise ToolFailed("this device's user may not see who listens; on macOS only root may") from error
    found: dict[tuple[str, str, int], SystemPort] = {}
    for each in connections:
        is_tcp = each.type == socket.SOCK_STREAM
        if not each.laddr or (each.status != psutil.CONN_LISTEN if is_tcp else bool(each.raddr)):
            continue
        protocol: Literal["tcp", "udp"] = "tcp" if is_tcp else "udp"
        found.setdefault(
            (protocol, each.laddr.ip, each.laddr.port),
            {"protocol": protocol, "address": each.laddr.ip, "port": each.laddr.port, "pid": each.pid, "name": None},
        )
    listed = sorted(found.values(), key=lambda port: (port["port"], port["protocol"], port["address"]))[:limit]
    for port in listed:
        port["name"] = None if port["pid"] is None else _name_of(port["pid"])
    return listed


def _told(process: psutil.Process) -> SystemProcess | None:
    """What a list says of a process; None when it has ended meanwhile."""
    try:
        with process.oneshot():
            memory = _seen(process.memory_info)
            return {
                "pid": process.pid,
                "name": cleaned(process.name(), _TEXT),
                "user": _text(process.username),
                "status": process.status(),
                "cpu_percent": round(_seen(process.cpu_percent) or 0.0, 1),
                "memory_bytes": None if memory is None else memory.rss,
                "age_s": round(time.time() - process.create_time(), 1),
            }
    except psutil.NoSuchProcess:
        return None


def _seen(look: Callable[[], T]) -> T | None:
    """What this user may see, else None.

    Raises:
        psutil.NoSuchProcess: the process has ended.
    """
    try:
        return look()
    except _NOT_TOLD:
        return None


def _text(look: Callable[[], str]) -> str | None:
    text = _seen(look)
    return cleaned(text, _TEXT) if text else None


def _listening(sockets: list[Any]) -> list[int]:
    ports = {each.laddr.port for each in sockets if each.laddr and each.status == psutil.CONN_LISTEN}
    return sorted(ports)[:MAX_RELATED]


def _names(variables: dict[str, str]) -> list[str]:
    return [cleaned(name, 200) for name in sorted(variables)[:MAX_RELATED]]


def _name_of(pid: int) -> str | None:
    try:
        return _text(psutil.Process(pid).name)
    except psutil.NoSuchProcess:
        return None
