"""Everything that a node is started from: certificates, configuration files and the supervisor's plan."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from recstack_lab import render
from recstack_lab.binaries import binary
from recstack_lab.cgroups import hierarchies
from recstack_lab.config import APISERVER_PORT, STORAGE_PROVISIONER, Lab
from recstack_lab.controlplane import Endpoints, apiserver_command, etcd_command
from recstack_lab.credentials import ADMIN_GROUP, Issued, issue, write_kubeconfig

INSIDE = Path(__file__).parent / "inside"
_SYSCTLS = {
    "/proc/sys/vm/overcommit_memory": "1",
    "/proc/sys/vm/panic_on_oom": "0",
    "/proc/sys/kernel/panic": "10",
    "/proc/sys/kernel/panic_on_oops": "1",
}
# Elsewhere on machines of their own; beside the pods they give way to them.
_CONTROL_PLANE = frozenset({"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"})
# What a new life of the node must not find; containerd's directory, with the images, stays.
_PER_LIFE = ("pki", "etcd", "kubelet", "pod-logs", "logs", "cni", "volumes", "volume-plugins", "config")


def write(lab: Lab) -> Path:
    """Write all files of the node; the path of the supervisor's plan."""
    for name in _PER_LIFE:
        shutil.rmtree(lab.directory / name, ignore_errors=True)
        (lab.directory / name).mkdir(mode=0o755, parents=True)
    (lab.directory / "containerd").mkdir(exist_ok=True)
    issued = issue(lab.directory / "pki", [lab.node_address, lab.apiserver_service_address])
    _kubeconfigs(lab, issued)
    _configurations(lab, issued)
    plan = _config(lab, "plan.json")
    plan.write_text(json.dumps(_plan(lab, issued), indent=2))
    return plan


def _config(lab: Lab, name: str) -> Path:
    return lab.directory / "config" / name


def _kubeconfigs(lab: Lab, issued: Issued) -> None:
    clients = {
        "kubelet": (f"system:node:{lab.node_name}", "system:nodes"),
        "controller-manager": ("system:kube-controller-manager", None),
        "scheduler": ("system:kube-scheduler", None),
        "proxy": ("system:kube-proxy", None),
        "provisioner": ("recstack:local-provisioner", None),
    }
    ca = issued.server.ca.certificate
    for name, (user, group) in clients.items():
        pair = issued.authority.issue(name, user, group)
        write_kubeconfig(_config(lab, f"{name}.kubeconfig"), lab.server, ca, pair)
    admin = issued.authority.issue("admin", "recstack:admin", ADMIN_GROUP)
    write_kubeconfig(lab.kubeconfig, lab.server, ca, admin)


def _configurations(lab: Lab, issued: Issued) -> None:
    serving = issued.authority.issue(
        "kubelet-serving", lab.node_name, serves=[lab.node_name, lab.node_address]
    )
    resolv_conf = _config(lab, "resolv.conf")
    resolv_conf.write_text(f"nameserver {lab.dns_address}\n")
    files = render.KubeletFiles(issued.server.ca.certificate, serving, resolv_conf)
    _config(lab, "kubelet.yaml").write_text(yaml.safe_dump(render.kubelet(lab, files)))
    proxy = render.kube_proxy(lab, _config(lab, "proxy.kubeconfig"))
    _config(lab, "proxy.yaml").write_text(yaml.safe_dump(proxy))
    _config(lab, "containerd.toml").write_text(render.containerd(lab, cri=True))
    _config(lab, "containerd-plain.toml").write_text(render.containerd(lab, cri=False))
    (lab.directory / "cni" / "10-pods.conflist").write_text(render.cni(lab))


def _plan(lab: Lab, issued: Issued) -> dict[str, Any]:
    mounted = [each for each in hierarchies() if each.options is not None]
    return {
        "hostname": lab.node_name,
        "cgroups": {each.mountpoint.name: each.options for each in mounted},
        # Programs that insist on fixed places get them here, so that the machine's own stay untouched.
        "tmpfs": ["/run", "/var/lib", "/var/log"],
        "binds": {
            str(lab.directory / "kubelet"): "/var/lib/kubelet",
            str(lab.directory / "pod-logs"): "/var/log/pods",
        },
        "sysctls": _SYSCTLS,
        "report": str(lab.directory / "processes.json"),
        "components": _components(lab, issued),
    }


def _components(lab: Lab, issued: Issued) -> list[dict[str, Any]]:
    at = Endpoints(lab.node_address, APISERVER_PORT)
    # Ready, not only listening: before its roles exist it refuses its clients, and they give up or wait long.
    api = {"https": f"{lab.server}/readyz", "ca": str(issued.server.ca.certificate)}
    commands: list[tuple[str, list[str], list[dict[str, Any]]]] = [
        ("etcd", etcd_command(binary("etcd"), lab.directory / "etcd", at, issued.server), []),
        ("containerd", _containerd_command(lab), []),
        (
            "kube-apiserver",
            apiserver_command(binary("kube-apiserver"), at, issued.server, lab.service_cidr, has_node=True),
            [{"port": at.etcd_port}],
        ),
        ("kubelet", _kubelet_command(lab), [api, {"socket": render.CONTAINERD_SOCKET}]),
        ("kube-controller-manager", _controller_manager_command(lab, issued), [api]),
        ("kube-scheduler", _scheduler_command(lab), [api]),
        ("kube-proxy", [str(binary("kube-proxy")), f"--config={_config(lab, 'proxy.yaml')}"], [api]),
        ("local-provisioner", _provisioner_command(lab), [api]),
    ]
    if lab.gpus:
        plugin = [str(binary("gpu-device-plugin")), f"-count={lab.gpus}"]
        commands.append(
            ("gpu-device-plugin", plugin, [{"socket": "/var/lib/kubelet/device-plugins/kubelet.sock"}])
        )
    return [
        {
            "name": name,
            "argv": [*(("nice", "-n", "5") if name in _CONTROL_PLANE else ()), *argv],
            "after": after,
            "log": str(lab.directory / "logs" / f"{name}.log"),
        }
        for name, argv, after in commands
    ]


def _containerd_command(lab: Lab) -> list[str]:
    return [
        sys.executable,
        "-IS",
        str(INSIDE / "containerd.py"),
        str(lab.directory / "containerd"),
        str(_config(lab, "containerd-plain.toml")),
        str(_config(lab, "containerd.toml")),
        render.CONTAINERD_SOCKET,
    ]


def _kubelet_command(lab: Lab) -> list[str]:
    return [
        str(binary("kubelet")),
        f"--config={_config(lab, 'kubelet.yaml')}",
        f"--kubeconfig={_config(lab, 'kubelet.kubeconfig')}",
        f"--hostname-override={lab.node_name}",
        f"--node-ip={lab.node_address}",
        "--root-dir=/var/lib/kubelet",
    ]


def _controller_manager_command(lab: Lab, issued: Issued) -> list[str]:
    kubeconfig = _config(lab, "controller-manager.kubeconfig")
    return [
        str(binary("kube-controller-manager")),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={issued.server.ca.certificate}",
        f"--service-account-private-key-file={issued.server.service_accounts.key}",
        f"--cluster-signing-cert-file={issued.server.ca.certificate}",
        f"--cluster-signing-key-file={issued.server.ca.key}",
        "--profiling=false",
    ]


def _scheduler_command(lab: Lab) -> list[str]:
    kubeconfig = _config(lab, "scheduler.kubeconfig")
    return [
        str(binary("kube-scheduler")),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    ]


def _provisioner_command(lab: Lab) -> list[str]:
    return [
        str(binary("local-provisioner")),
        f"-kubeconfig={_config(lab, 'provisioner.kubeconfig')}",
        f"-root={lab.directory / 'volumes'}",
        f"-provisioner={STORAGE_PROVISIONER}",
    ]
