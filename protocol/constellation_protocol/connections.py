"""How many connections are open, in all and from each address, and which are too many."""

from __future__ import annotations

import ipaddress
from collections import Counter

from .settings import ConnectionLimits

REFUSED_AT_ONCE = 64
"""How many connections beyond the limit are still told why they are refused; further ones are cut."""


class Connections:
    """The open connections of a listener."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()

    def opened(self, address: str) -> None:
        """Count a connection from this address."""
        self._open[_counted_as(address)] += 1

    def closed(self, address: str) -> None:
        """Count it no more."""
        place = _counted_as(address)
        self._open[place] -= 1
        if not self._open[place]:
            del self._open[place]

    def objection(self, address: str) -> str | None:
        """Why a connection from this address, counted already, is one too many; None when it is not."""
        limits = self._limits
        if self._open[_counted_as(address)] > limits.per_address:
            return f"there are {limits.per_address} connections from this address already"
        if self._open.total() > limits.total:
            return f"there are {limits.total} connections already"
        return None

    @property
    def flooded(self) -> bool:
        """Whether there are so many that not even a refusal can be spared."""
        return self._open.total() > self._limits.total + REFUSED_AT_ONCE


def _counted_as(address: str) -> str:
    """The address, or of IPv6 the network of 64 bits, any address of which its owner can use."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
