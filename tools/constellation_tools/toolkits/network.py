"""Which hosts may be reached: an allow-list by name, and a check of the addresses that a name leads to.

A name on the list is not enough: it must lead to public addresses, so that nobody can point a name at the inside
of the network. An inner service is allowed by naming it with its port.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

import anyio

from ..errors import Confined, ToolFailed

DEFAULT_PORTS = {"http": 80, "https": 443}
_SAFE = "/%:@!$&'()*+,;=~-._?[]"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes, taken from a URL that has been checked against the list.

    Attributes:
        path: The path and query, as the request line has them.
        private: Whether the entry that allows it names the port, so that private addresses are meant.
    """

    scheme: str
    host: str
    port: int
    path: str
    private: bool

    @property
    def url(self) -> str:
        """The URL, in ASCII and without fragment."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must be equal for two targets to be the same server."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


class AllowList:
    """Hosts that may be reached.

    Entries are `example.com` (ports 80 and 443), `example.com:8443`, `*.example.com` (names below it), `*` (any
    public host). Only an entry with a name or address and a port lets through to private addresses.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        """Read the entries.

        Raises:
            ValueError: an entry is not one of these forms.
        """
        self._entries: dict[str, set[int | None]] = {}
        for entry in entries:
            host, port = _entry(entry)
            self._entries.setdefault(host, set()).add(port)

    def check(self, url: str) -> Target:
        """Take a URL apart and check its host and port.

        Raises:
            ToolFailed: it is not an http or https URL.
            Confined: its host or port is not on the list.
        """
        parts, host, port = _split(url)
        named, wider = self._entries.get(host, set()), self._wider(host)
        default_port = port in DEFAULT_PORTS.values()
        if port not in named | wider and not (default_port and None in named | wider):
            raise Confined(f"{host}:{port} is not among the hosts that this device may reach; its owner must allow it")
        path = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
        return Target(parts.scheme, host, port, path, private=port in named)

    def _wider(self, host: str) -> set[int | None]:
        """Return the ports of the wildcards that a host falls under."""
        ports = set(self._entries.get("*", ()))
        _, _, above = host.partition(".")
        while above:
            ports |= self._entries.get(f"*.{above}", set())
            _, _, above = above.partition(".")
        return ports


async def public_addresses(target: Target) -> list[str]:
    """Resolve a target's host and return the addresses that may be connected to, best first.

    Raises:
        ToolFailed: the name does not resolve.
        Confined: it leads only to addresses that are not public.
    """
    try:
        found = await anyio.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ToolFailed(f"the host {target.host!r} can't be resolved: {error.strerror}") from error
    addresses = list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))
    allowed = [address for address in addresses if is_public(address) or (target.private and is_inner(address))]
    if target.private and not allowed and target.host in addresses:
        allowed = addresses  # its owner has written down this very address
    if not allowed:
        raise Confined(
            f"{target.host!r} leads to {addresses[0]}, which is not a public address; to mean an inner service, its "
            f"owner must allow {target.host}:{target.port} with the port"
        )
    return allowed


def is_inner(address: str) -> bool:
    """Whether an IP address is one of a machine or network of one's own that a name may lead to.

    Not among them are link-local addresses, where clouds keep a machine's credentials, and those that mean no machine.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    no_machine = ip.is_link_local or ip.is_multicast or ip.is_unspecified
    return ip.is_loopback or (ip.is_private and not no_machine and not ip.is_reserved)


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, also by the IPv4 address that it may wrap."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.sixtofour is not None or ip.teredo is not None or ip.is_site_local:
            return False
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _entry(entry: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{entry}")
        host, port = _ascii_host(parts.hostname or ""), parts.port
    except ValueError as error:
        raise ValueError(f"{entry!r} is not a host to allow: {error}") from error
    if not host or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            f"{entry!r} is not a host to allow; write 'example.com', 'example.com:8443' or '*.example.com'"
        )
    if "*" in host and ("*" in host[1:] or host[1:2] not in ("", ".")):
        raise ValueError(f"{entry!r} is not a host to allow: a star stands for whole names, as in '*.example.com'")
    return host, port


def _split(url: str) -> tuple[SplitResult, str, int]:
    if any(character <= " " or character in "\x7f\\" for character in url):
        raise ToolFailed(f"{url!r} is not a URL: it holds spaces, control characters or backslashes")
    try:
        parts = urlsplit(url)
        host, port = _ascii_host(parts.hostname or ""), parts.port
    except ValueError as error:
        raise ToolFailed(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise ToolFailed(f"{url!r} is not an http or https URL")
    if "@" in parts.netloc:
        raise ToolFailed("a URL with a user name or password is not accepted; send an Authorization header")
    return parts, host, DEFAULT_PORTS[parts.scheme] if port is None else port


def _ascii_host(host: str) -> str:
    host = host.lower().rstrip(".")
    return host if host.isascii() else host.encode("idna").decode()
