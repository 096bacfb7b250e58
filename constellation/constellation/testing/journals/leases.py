"""Leases: one owner at a time, by the clock that the caller shows."""

from __future__ import annotations

import pytest

from ...journal import Journal, RunBusy
from .store import StoreChecks


class LeaseChecks(StoreChecks):
    """Leases: one owner at a time, by the clock that the caller shows."""

    async def test_a_lease_keeps_others_out_until_it_expires(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.acquire("r1", owner="one", at=100.0, lease_s=10.0)
        with pytest.raises(RunBusy, match="held by one until 1970-01-01T00:01:50") as caught:
            await journal.acquire("r1", owner="two", at=109.9, lease_s=10.0)
        assert (caught.value.owner, caught.value.expires_at) == ("one", 110.0)
        await journal.acquire("r1", owner="two", at=110.0, lease_s=10.0)
        with pytest.raises(RunBusy, match="held by two"):
            await journal.acquire("r1", owner="one", at=111.0, lease_s=10.0)

    async def test_the_owner_renews_its_lease(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.acquire("r1", owner="one", at=100.0, lease_s=10.0)
        await journal.acquire("r1", owner="one", at=105.0, lease_s=10.0)
        with pytest.raises(RunBusy) as caught:
            await journal.acquire("r1", owner="two", at=112.0, lease_s=10.0)
        assert caught.value.expires_at == 115.0

    async def test_a_released_run_is_free_at_once_and_only_its_owner_releases_it(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.acquire("r1", owner="one", at=100.0, lease_s=10.0)
        await journal.release("r1", owner="two")
        with pytest.raises(RunBusy):
            await journal.acquire("r1", owner="two", at=101.0, lease_s=10.0)
        await journal.release("r1", owner="one")
        await journal.acquire("r1", owner="two", at=101.0, lease_s=10.0)
        await journal.release("gone", owner="one")

    async def test_each_run_has_a_lease_of_its_own(self, journal: Journal) -> None:
        for run in ("a", "b"):
            await journal.create_run(run, name="x", at=1.0)
        await journal.acquire("a", owner="one", at=100.0, lease_s=10.0)
        await journal.acquire("b", owner="two", at=100.0, lease_s=10.0)
