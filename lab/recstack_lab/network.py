"""The veth pair and the routes through which the caller's machine reaches the node, its pods and services."""

from __future__ import annotations

import json

from recstack_lab.commands import run, succeeds
from recstack_lab.config import Lab, LabError
from recstack_lab.probes import wait_until


def exists(lab: Lab) -> bool:
    """Whether the caller's end of the pair is there."""
    return succeeds(["ip", "link", "show", "dev", lab.link])


def connect(lab: Lab, init_pid: int) -> None:
    """Join the node's network namespace to the caller's."""
    for cidr in (lab.pod_cidr, lab.service_cidr):
        _refuse_taken(cidr)
    run(["ip", "link", "add", lab.link, "type", "veth", "peer", "name", "eth0", "netns", str(init_pid)])
    run(["ip", "address", "add", f"{lab.host_address}/24", "dev", lab.link])
    run(["ip", "link", "set", lab.link, "up"])
    inside = ["nsenter", "-t", str(init_pid), "-n"]
    run([*inside, "ip", "link", "set", "lo", "up"])
    run([*inside, "ip", "address", "add", f"{lab.node_address}/24", "dev", "eth0"])
    run([*inside, "ip", "link", "set", "eth0", "up"])
    # /proc/sys/net shows the network namespace of whoever reads it, so no mount of the node is needed.
    run([*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    # Without a default route kube-proxy and the kubelet do not find the node's address. It is the last
    # step, on which the node waits.
    run([*inside, "ip", "route", "add", "default", "via", lab.host_address])
    for cidr in (lab.pod_cidr, lab.service_cidr):
        run(["ip", "route", "add", cidr, "via", lab.node_address, "dev", lab.link])


def disconnect(lab: Lab) -> None:
    """Remove the pair; its routes and its other end go with it."""
    if exists(lab):
        # The kernel may be removing it just now, with the node's namespace.
        succeeds(["ip", "link", "delete", lab.link])
        wait_until(lambda: not exists(lab), f"the interface {lab.link} is gone", 10)


def _refuse_taken(cidr: str) -> None:
    if json.loads(run(["ip", "-json", "route", "show", "exact", cidr]) or "[]"):
        raise LabError(f"this machine already has a route to {cidr}")
