import pytest
from recstack_operator.options import parse

IMAGES = {
    "RECSTACK_TRAINING_IMAGE": "training:1",
    "RECSTACK_SERVING_IMAGE": "serving:1",
    "RECSTACK_VALKEY_IMAGE": "valkey:1",
    "RECSTACK_FEAST_IMAGE": "feast:1",
}


def test_the_environment_of_a_chart_suffices() -> None:
    environment = IMAGES | {"POD_NAME": "operator-a", "POD_NAMESPACE": "platform", "RECSTACK_LEASE": "mine"}
    options = parse([], environment)
    assert options.settings.images.training == "training:1"
    assert options.settings.images.serving == "serving:1"
    assert options.settings.images.valkey == "valkey:1"
    assert options.settings.images.feast == "feast:1"
    assert (options.identity, options.settings.operator_namespace, options.lease) == (
        "operator-a",
        "platform",
        "mine",
    )
    assert options.port == 9090


def test_a_flag_wins_over_its_variable() -> None:
    options = parse(["--serving-image", "mine:2", "--port", "1234"], IMAGES | {"RECSTACK_PORT": "9999"})
    assert options.settings.images.serving == "mine:2"
    assert options.settings.images.training == "training:1"
    assert options.port == 1234


@pytest.mark.parametrize("variable", IMAGES)
def test_an_image_that_nobody_named_ends_the_start(variable: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse([], {key: value for key, value in IMAGES.items() if key != variable})
    assert caught.value.code == 2
    flag = variable.removeprefix("RECSTACK_").lower().replace("_", "-")
    assert f"--{flag}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "variable", "wanted"),
    [
        ([], "", ()),
        ([], "shop,films", ("shop", "films")),
        (["--namespace", "a", "--namespace", "b"], "shop", ("a", "b")),
    ],
)
def test_namespaces_are_all_or_those_named(flags: list[str], variable: str, wanted: tuple[str, ...]) -> None:
    assert parse(flags, IMAGES | {"RECSTACK_WATCH_NAMESPACES": variable}).namespaces == wanted


def test_two_processes_of_one_machine_differ_without_a_pod_name() -> None:
    assert parse([], IMAGES).identity.rpartition("-")[2].isdigit()
