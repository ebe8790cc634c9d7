"""Which control group hierarchies a machine has, and how each is mounted again inside a node."""

from pathlib import Path

from recstack_lab.cgroups import Hierarchy, parse

HYBRID = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
"""


def test_a_hybrid_machine() -> None:
    root = Path("/sys/fs/cgroup")
    assert parse(HYBRID) == [
        Hierarchy(root / "cpu,cpuacct", "cpu,cpuacct"),
        # Without a controller, mount(8) has to be told that there is none.
        Hierarchy(root / "systemd", "none,name=systemd"),
        Hierarchy(root / "unified", None),
    ]
