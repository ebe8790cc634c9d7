"""Which execution providers a network asks for."""

import pytest
from recstack_triton_templates.render import ServingSettings
from recstack_triton_templates.stages.device import Device, providers
from recstack_triton_templates.triton_place import device

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        (Device.CPU, [TENSORRT, CUDA, CPU], [CPU]),
        (Device.CUDA, [TENSORRT, CUDA, CPU], [CUDA, CPU]),
        (Device.TENSORRT, [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU]),
        (Device.TENSORRT, [CUDA, CPU], [CUDA, CPU]),
        (Device.CUDA, [CPU], [CPU]),
    ],
)
def test_the_preferred_first_of_those_that_there_are(
    wanted: Device, there: list[str], expected: list[str]
) -> None:
    assert [name for name, _ in providers(wanted, there)] == expected


def test_engines_of_tensorrt_outlive_a_model_process() -> None:
    options = dict(providers(Device.TENSORRT, [TENSORRT, CPU]))
    assert options[TENSORRT]["trt_engine_cache_enable"] == "1"
    assert options[CPU] == {}


@pytest.mark.parametrize(
    ("gpu", "tensorrt", "expected"),
    [(False, True, Device.CPU), (True, False, Device.CUDA), (True, True, Device.TENSORRT)],
)
def test_an_instance_that_triton_put_on_no_gpu_runs_on_the_cpu(
    gpu: bool, tensorrt: bool, expected: Device
) -> None:
    assert device(gpu, ServingSettings(gpus=1, tensorrt=tensorrt)) is expected
