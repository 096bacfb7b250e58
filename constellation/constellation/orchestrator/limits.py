"""What a hub takes from outside, all in one place; whoever asks for more is refused, slowed down or cut."""

from __future__ import annotations

from dataclasses import dataclass

from constellation_protocol.messages import Limits
from constellation_protocol.settings import ConnectionLimits, SessionSettings


@dataclass(frozen=True, slots=True)
class HubLimits:
    """Limits of a hub.

    Attributes:
        devices: How many devices may be connected at once.
        clients: How many connections of clients may be open at once, those that have shown no token yet included.
        requests: How many requests of one client may be under way at once.
        connections: How many connections of any kind may be open at once.
        connections_per_address: How many of them from one IP address, or one network of 64 bits in IPv6.
        messages_per_s: How many messages of one device are read a second; what it sends beyond that has to wait.
        artifact_bytes: How large a file of a device may be.
        artifacts_per_run: How many files the results of one run may refer to. Nested runs count for themselves, and
            counting begins anew when the hub is started again.
        artifact_bytes_per_run: How many bytes these files may have in all.
        disk_reserve_bytes: How much of the disk that holds the files stays free.
    """

    devices: int = 10_000
    clients: int = 1000
    requests: int = 256
    connections: int = 12_000
    connections_per_address: int = 2000
    messages_per_s: float = 20_000.0
    artifact_bytes: int = 4 * 1024**3
    artifacts_per_run: int = 100_000
    artifact_bytes_per_run: int = 1024**4
    disk_reserve_bytes: int = 256 * 1024**2

    def of_sessions(self) -> SessionSettings:
        """The rules of the sessions of devices."""
        limits = Limits(max_artifact_bytes=self.artifact_bytes)
        return SessionSettings(messages_per_s=self.messages_per_s, limits=limits)

    def of_connections(self) -> ConnectionLimits:
        """The limits of the listening socket."""
        return ConnectionLimits(self.connections, self.connections_per_address)
