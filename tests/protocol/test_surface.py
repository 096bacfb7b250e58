"""What the package exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import constellation_protocol


def test_every_exported_name_is_there() -> None:
    for name in constellation_protocol.__all__:
        assert getattr(constellation_protocol, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="teleport"):
        _ = constellation_protocol.teleport  # type: ignore[attr-defined]


def test_importing_the_package_loads_neither_event_loops_nor_sockets() -> None:
    code = "import sys, constellation_protocol; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert {"asyncio", "anyio", "websockets", "ssl", "jsonschema"}.isdisjoint(loaded)
