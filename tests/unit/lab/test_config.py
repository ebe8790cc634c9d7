"""Names and addresses of labs: valid, and never shared by two of them."""

import ipaddress
import itertools

import pytest
from recstack_lab import record
from recstack_lab.config import Lab, LabError
from recstack_lab.record import Record


def test_no_two_labs_share_an_address() -> None:
    labs = [Lab("x", index) for index in range(16)]
    networks = [
        ipaddress.ip_network(cidr)
        for lab in labs
        for cidr in (lab.pod_cidr, lab.service_cidr, f"{lab.node_address}/32", f"{lab.host_address}/32")
    ]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(networks, 2))
    assert len({lab.link for lab in labs}) == len(labs)
    for lab in labs:
        services = ipaddress.ip_network(lab.service_cidr)
        assert ipaddress.ip_address(lab.dns_address) in services
        assert ipaddress.ip_address(lab.apiserver_service_address) == services[1]


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a" * 21, "a/b", "..", "a b"])
def test_a_name_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="no lab name"):
        Lab(name)


def test_indexes_are_given_out_once(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("RECSTACK_CACHE", str(tmp_path))
    for name in ("default", *(f"lab-{number}" for number in range(15))):
        record.save(name, Record(record.free_index(name), 2))
    indexes = {record.known(name).index for name in ("default", *(f"lab-{number}" for number in range(15)))}
    assert indexes == set(range(16))
    assert record.known("default").index == 0
    with pytest.raises(LabError, match="taken"):
        record.free_index("one-more")
    record.remove("lab-3")
    assert record.free_index("one-more") == 4
