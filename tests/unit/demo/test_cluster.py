import pytest
from recstack_demo.cluster import Cluster, CommandFailed, run


def test_a_failed_command_says_what_and_why() -> None:
    with pytest.raises(CommandFailed, match=r"sh -c echo no luck .*: no luck"):
        run(["sh", "-c", "echo no luck >&2; exit 3"])


def test_every_call_names_the_context(tmp_path: object) -> None:
    cluster = Cluster(kubectl="echo", helm="echo", context="mine")
    assert cluster.kube("get", "pods").split() == ["--context", "mine", "get", "pods"]
    assert cluster.helm_run("list").split() == ["--kube-context", "mine", "list"]
