"""What a model process finds beside itself and in its environment."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from recstack_triton_templates.graph import split_name
from recstack_triton_templates.render import PACKAGE_LINK, SETTINGS_FILE, ServingSettings, model_name
from recstack_triton_templates.seen_keys import SeenKeys
from recstack_triton_templates.seen_valkey import ValkeySeen
from recstack_triton_templates.stages.device import Device
from recstack_triton_templates.trending_keys import TrendingKeys
from recstack_triton_templates.trending_valkey import ValkeyTrending


@dataclass(frozen=True)
class Place:
    """``stage``: first part of the model's name. ``seen``, ``trending`` None: not used."""

    stage: str
    version: str
    package: Path
    device: Device
    settings: ServingSettings
    seen: ValkeySeen | None
    trending: ValkeyTrending | None


def place(args: dict[str, str]) -> Place:
    """From the arguments of ``initialize``; settings and package lie in the folder of the version's entry."""
    stage, version = split_name(args["model_name"])
    entry = Path(args["model_repository"]).parent / model_name(version)
    settings = ServingSettings(**json.loads((entry / args["model_version"] / SETTINGS_FILE).read_bytes()))
    gpu = args["model_instance_kind"] == "GPU"
    return Place(
        stage,
        version,
        entry / PACKAGE_LINK,
        device(gpu, settings),
        settings,
        _seen(settings),
        _trending(settings),
    )


def device(gpu: bool, settings: ServingSettings) -> Device:
    """``gpu``: whether Triton put this instance on one."""
    if not gpu:
        return Device.CPU
    return Device.TENSORRT if settings.tensorrt else Device.CUDA


def _seen(settings: ServingSettings) -> ValkeySeen | None:
    url = os.environ.get("VALKEY_URL")
    if not (url and settings.seen_filter):
        return None
    keys = SeenKeys(_scope(), settings.seen_capacity, settings.seen_error_rate, settings.seen_ttl_seconds)
    return ValkeySeen(url, keys, time.time)


def _trending(settings: ServingSettings) -> ValkeyTrending | None:
    url = os.environ.get("VALKEY_URL")
    return ValkeyTrending(url, TrendingKeys(_scope()), time.time) if url and settings.trending else None


def _scope() -> str:
    return f"{os.environ['RECSTACK_NAMESPACE']}/{os.environ['RECSTACK_STACK']}"
