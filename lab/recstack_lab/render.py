"""Configuration files of the node's components, as plain data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recstack_lab.config import CLUSTER_DOMAIN, Lab
from recstack_lab.pki import Pair
from recstack_lab.requirements import PLUGINS

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
PAUSE_IMAGE = "localhost/recstack/pause:dev"
_MAX_PODS = 110


@dataclass(frozen=True)
class KubeletFiles:
    """Files that the kubelet reads."""

    ca: Path
    serving: Pair
    resolv_conf: Path


def kubelet(lab: Lab, files: KubeletFiles) -> dict[str, Any]:
    """The kubelet's configuration: no pod is evicted because the machine is small or full."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": lab.node_address,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(files.ca)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "clusterDNS": [lab.dns_address],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failSwapOn": False,
        "healthzBindAddress": "127.0.0.1",
        # Images come from no registry: what the kubelet removes could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "maxOpenFiles": 20000,
        "maxPods": _MAX_PODS,
        "nodeStatusUpdateFrequency": "5s",
        "oomScoreAdj": 0,
        "resolvConf": str(files.resolv_conf),
        "shutdownGracePeriod": "0s",
        "syncFrequency": "10s",
        "tlsCertFile": str(files.serving.certificate),
        "tlsPrivateKeyFile": str(files.serving.key),
        "volumePluginDir": str(lab.directory / "volume-plugins"),
    }


def kube_proxy(lab: Lab, kubeconfig: Path) -> dict[str, Any]:
    """kube-proxy's configuration: it leaves the machine's connection tracking table alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": lab.node_address,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": lab.pod_cidr,
        "conntrack": {"maxPerCore": 0, "min": 0},
        "hostnameOverride": lab.node_name,
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": "iptables",
        "iptables": {"minSyncPeriod": "200ms"},
        "oomScoreAdj": 0,
    }


def containerd(lab: Lab, *, cri: bool) -> str:
    """containerd's configuration; without CRI it only serves to look after what is stored."""
    return f"""version = 2
oom_score = 0
root = "{lab.directory}/containerd"
state = "/run/containerd"
disabled_plugins = [{"" if cri else '"io.containerd.grpc.v1.cri"'}]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{lab.directory}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{lab.directory}/cni"
"""


def cni(lab: Lab) -> str:
    """The pods' network: one bridge, which the caller's machine reaches through the node."""
    return json.dumps(
        {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "cni0",
                    "isGateway": True,
                    "ipMasq": False,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": "/run/cni-ipam",
                        "ranges": [[{"subnet": lab.pod_cidr}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        },
        indent=2,
    )
