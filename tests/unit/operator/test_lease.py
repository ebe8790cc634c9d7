"""Election with a clock of its own and a Lease in memory."""

import copy
import threading
from typing import Any

import pytest
from recstack_controllers.kit.cluster import ClusterError
from recstack_operator.lease import LEASE_SECONDS, RENEW_SECONDS, STANDBY_SECONDS, Election


class Leases:
    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.away = False
        self.version = 0

    async def get(self) -> dict[str, Any] | None:
        self._check()
        return copy.deepcopy(self.lease)

    async def create(self, spec: dict[str, Any]) -> None:
        self._check()
        if self.lease is not None:
            raise ClusterError("exists", 409, True)
        self.lease = {"metadata": {"resourceVersion": "0"}, "spec": spec}

    async def replace(self, lease: dict[str, Any]) -> None:
        self._check()
        assert self.lease is not None
        if lease["metadata"] != self.lease["metadata"]:
            raise ClusterError("conflict", 409, True)
        self.version += 1
        self.lease = {
            "metadata": {"resourceVersion": str(self.version)},
            "spec": copy.deepcopy(lease["spec"]),
        }

    def _check(self) -> None:
        if self.away:
            raise ClusterError("away", 0, True)


class Died(Exception):
    pass


class Time:
    now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def die() -> None:
    # The watchdog's thread dies silently; a process would end with it.
    if threading.current_thread() is threading.main_thread():
        raise Died


def election(leases: Leases, identity: str, time: Time) -> Election:
    return Election(leases, identity, die=die, monotonic=lambda: time.now, sleep=time.sleep)


async def test_who_comes_second_waits_for_the_whole_lease() -> None:
    leases, time = Leases(), Time()
    one, two = election(leases, "one", time), election(leases, "two", time)
    await one.acquire()
    assert one.leading
    await two.acquire()  # one never renews: its clock stands still while two's runs
    assert LEASE_SECONDS <= time.now <= LEASE_SECONDS + 4
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "two"
    assert leases.lease["spec"]["leaseTransitions"] == 1


async def test_a_lease_that_was_given_back_is_free_at_once() -> None:
    leases, time = Leases(), Time()
    one, two = election(leases, "one", time), election(leases, "two", time)
    await one.acquire()
    await one.release()
    assert not one.leading
    await two.acquire()
    assert time.now == 0


async def test_a_leader_whose_lease_was_taken_dies() -> None:
    leases, time = Leases(), Time()
    one = election(leases, "one", time)
    await one.acquire()
    assert leases.lease is not None
    leases.lease["spec"]["holderIdentity"] = "two"
    with pytest.raises(Died):
        await one.renew()


async def test_an_api_server_that_is_away_makes_no_leader() -> None:
    leases, time = Leases(), Time()
    leases.away = True
    time.sleep = _back(leases, time)  # type: ignore[method-assign]
    one = election(leases, "one", time)
    await one.acquire()
    assert time.now == STANDBY_SECONDS


def _back(leases: Leases, time: Time) -> Any:
    async def sleep(seconds: float) -> None:
        time.now += seconds
        leases.away = False

    return sleep


async def test_a_leader_may_write_until_it_has_not_renewed_for_too_long() -> None:
    leases, time = Leases(), Time()
    one = election(leases, "one", time)
    await one.acquire()
    time.now += RENEW_SECONDS
    one.check()
    time.now += 0.1
    with pytest.raises(Died):
        one.check()


async def test_who_does_not_lead_may_not_write() -> None:
    with pytest.raises(Died):
        election(Leases(), "one", Time()).check()


async def test_a_renewal_counts_from_when_it_was_sent() -> None:
    """Others may have seen it that early, and count their ten seconds from then."""
    leases, time = Leases(), Time()
    one = election(leases, "one", time)
    true_replace = leases.replace

    async def slow(lease: dict[str, Any]) -> None:
        await true_replace(lease)
        time.now += 5

    await one.acquire()
    leases.replace = slow  # type: ignore[method-assign]
    await one._try()
    one.check()
    time.now += RENEW_SECONDS - 5 + 0.1
    with pytest.raises(Died):
        one.check()


async def test_a_restarted_container_of_the_same_pod_leads_at_once() -> None:
    leases, time = Leases(), Time()
    await election(leases, "one", time).acquire()
    again = election(leases, "one", time)
    await again.acquire()
    assert time.now == 0
    assert leases.lease is not None
    assert leases.lease["spec"]["leaseTransitions"] == 0


async def test_of_two_that_find_no_lease_one_leads() -> None:
    leases, time = Leases(), Time()
    true_get = leases.get

    async def blind() -> None:
        return None

    leases.get = blind  # type: ignore[method-assign]
    one, two = election(leases, "one", time), election(leases, "two", time)
    assert await one._try()
    assert not await two._try()
    leases.get = true_get  # type: ignore[method-assign]
    assert not await two._try()
    assert not two.leading


async def test_a_lease_is_given_back_only_by_its_holder() -> None:
    leases, time = Leases(), Time()
    one, two = election(leases, "one", time), election(leases, "two", time)
    await one.acquire()
    await two.acquire()
    await one.release()
    assert leases.lease is not None
    assert leases.lease["spec"]["holderIdentity"] == "two"


async def test_the_process_can_stop_while_the_api_server_is_away() -> None:
    leases, time = Leases(), Time()
    one = election(leases, "one", time)
    await one.acquire()
    leases.away = True
    await one.release()
    assert not one.leading


@pytest.mark.parametrize("made", [{}, {"spec": None}, {"spec": {}}, {"spec": {"holderIdentity": "one"}}])
async def test_a_lease_that_a_person_made_is_taken_and_given_back(made: dict[str, Any]) -> None:
    leases, time = Leases(), Time()
    leases.lease = {"metadata": {"resourceVersion": "0"}, **made}
    election = Election(leases, "one", die=die, monotonic=lambda: time.now, sleep=time.sleep)
    await election.acquire()
    assert leases.lease["spec"]["holderIdentity"] == "one"
    assert leases.lease["spec"]["acquireTime"]
    leases.lease["spec"] = None
    await election.release()
    assert leases.lease["spec"] is None
