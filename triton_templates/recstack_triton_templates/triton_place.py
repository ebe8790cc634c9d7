"""What a model process finds beside itself and in its environment."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recstack_triton_templates.feast_names import ITEM_VIEW, USER_VIEW
from recstack_triton_templates.feast_view import FeastView
from recstack_triton_templates.graph import split_name
from recstack_triton_templates.live_items import LiveItems, LiveTable
from recstack_triton_templates.online import Reads, ValkeyOnline, ValkeyPipeline
from recstack_triton_templates.online_reads import BitmapReads, NativeReads, UserReads
from recstack_triton_templates.package import Package
from recstack_triton_templates.render import PACKAGE_LINK, SETTINGS_FILE, ServingSettings, model_name
from recstack_triton_templates.seen_keys import SeenKeys
from recstack_triton_templates.stages.device import Device
from recstack_triton_templates.trending_keys import TrendingKeys
from recstack_triton_templates.trending_valkey import ValkeyTrending


@dataclass(frozen=True)
class Place:
    """``stage``: first part of the model's name, ``recommender`` of the fused graph. ``valkey``: its URL.

    ``pipeline``: to it, for all that a request reads: what one read could not get none asks for a moment.
    """

    stage: str
    version: str
    package: Path
    device: Device
    settings: ServingSettings
    valkey: str | None
    pipeline: ValkeyPipeline | None


def place(args: dict[str, str]) -> Place:
    """From the arguments of ``initialize``; settings and package lie in the folder of the version's entry."""
    stage, version = split_name(args["model_name"])
    entry = Path(args["model_repository"]).parent / model_name(version)
    settings = ServingSettings(**json.loads((entry / args["model_version"] / SETTINGS_FILE).read_bytes()))
    gpu = args["model_instance_kind"] == "GPU"
    url = os.environ.get("VALKEY_URL")
    pipeline = ValkeyPipeline(url, time.time) if url else None
    return Place(stage, version, entry / PACKAGE_LINK, device(gpu, settings), settings, url, pipeline)


def device(gpu: bool, settings: ServingSettings) -> Device:
    """``gpu``: whether Triton put this instance on one."""
    if not gpu:
        return Device.CPU
    return Device.TENSORRT if settings.tensorrt else Device.CUDA


def online(here: Place, package: Package) -> ValkeyOnline | None:
    """What the stage reads of the online store for a request; the fused graph reads for all its stages."""
    if here.pipeline is None:
        return None
    reads: list[Reads] = []
    if here.stage in ("recommender", "feast_user_lookup"):
        reads += _users(here.settings, package)
    if here.stage in ("recommender", "filter_seen_items") and here.settings.seen_filter:
        keys = _seen_keys(here.settings)
        reads += [BitmapReads(keys), NativeReads(keys, here.pipeline.run)]
    return ValkeyOnline(here.pipeline, reads, time.time) if reads else None


def _users(settings: ServingSettings, package: Package) -> list[Reads]:
    view = _view(settings, package, "user")
    return [UserReads(view)] if view else []


def items(here: Place, package: Package, log: Callable[[str], None]) -> LiveItems | None:
    """The items as they are online, followed from now on, if this stage has to do with their features."""
    capped = here.stage == "softmax_sampling" and here.settings.max_per_value_feature is not None
    if not capped and here.stage not in ("recommender", "feast_item_lookup"):
        return None
    view = _view(here.settings, package, "item")
    if not (here.valkey and view):
        return None
    table = LiveTable(package.items, view, package.item_transform)
    live = LiveItems(here.valkey, table, time.time, log)
    live.start()
    return live


def _view(settings: ServingSettings, package: Package, side: str) -> FeastView | None:
    """None: not in Feast, where a view without columns is none."""
    if settings.feast_project is None:
        return None
    name = USER_VIEW if side == "user" else ITEM_VIEW
    key, transforms = package.join_keys[side], package.transforms(side)
    view = FeastView(settings.feast_project, name, key, transforms, settings.feast_ttl_seconds)
    return view if view.columns else None


def trending(here: Place) -> ValkeyTrending | None:
    """Trending lists, if this stage mixes them in; they are everybody's, so a process keeps them a second."""
    mixes = here.stage in ("recommender", "filter_seen_items") and here.settings.trending
    if here.pipeline is None or not mixes:
        return None
    return ValkeyTrending(here.pipeline, TrendingKeys(_scope()), time.time)


def _seen_keys(settings: ServingSettings) -> SeenKeys:
    return SeenKeys(_scope(), settings.seen_capacity, settings.seen_error_rate, settings.seen_ttl_seconds)


def _scope() -> str:
    return f"{os.environ['RECSTACK_NAMESPACE']}/{os.environ['RECSTACK_STACK']}"
