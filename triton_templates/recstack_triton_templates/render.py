"""The Triton model repository of one version: a pure function of its name and of the serving settings.

The entry is ``recommender--<version>`` in either graph, with the same interface whatever the schema of the
stack: one input ``REQUEST`` and one output ``REPLY``, both UINT8 [1, -1], holding a line of JSON in UTF-8 for
each request: a :class:`recstack_triton_templates.request.Request` and the reply
``{"items": [{"id", "score", "title"}], "degraded"}`` or ``{"problem": "…"}`` for a request that cannot be
answered. ``fused`` is one model, whose calls Triton's dynamic batcher hands over together when several wait;
``ensemble`` is an ensemble over one model for each stage of :mod:`graph`.

The package is not named here: whoever lays the repository out puts a link ``1/package`` to it into the
entry's folder, so that the same settings give the same files.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from recstack_triton_templates.graph import FUSED, REPLY, REQUEST, STAGES, TENSORS, TIMES, Stage, part_name

PACKAGE_LINK = "1/package"
SETTINGS_FILE = "settings.json"
WARMUP_FILE = "anonymous"
WARMUP = b'{"plain":true}'
"""The first request of a model, before it is ready: networks and index allocate what they need."""

_MODEL = '''"""%s"""

import os
import sys

# The backend starts Python isolated: without this a PYTHONPATH does not count. The image needs none.
sys.path.extend(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
from recstack_triton_templates import %s

TritonPythonModel = %s.TritonPythonModel
'''
_FUSED = "A recommendation; the code is the image's, the files beside this one decide what it serves."
_PART = "A stage of a recommendation, the one that the model is named after; the code is the image's."


@dataclass(frozen=True)
class ServingSettings:
    """What of a stack's ``spec.serving`` the model needs; defaults are the API's.

    ``gpus`` only decides where it runs: 0 CPU, else a GPU if Triton sees one. ``tensorrt`` counts there.
    Instances and batches are those of the fused graph; the gateway keeps the queue. ``max_per_value``
    counts when ``max_per_value_feature`` is given. ``trending_by``: columns of items that have lists, by the
    column of users that holds the same values. ``feast_project``: that users and items are online in;
    None: they are the package's. ``feast_ttl_seconds``: how long a row there counts, 0 for ever.
    """

    graph: str = "fused"
    candidates: int = 300
    top_k: int = 100
    gpus: int = 0
    tensorrt: bool = False
    instances: int = 1
    batch_requests: int = 16
    batch_delay_microseconds: int = 0
    queue_requests: int = 256
    queue_milliseconds: int = 1000
    diversity: bool = False
    temperature: float = 0.05
    max_per_value_feature: str | None = None
    max_per_value: int = 0
    seen_filter: bool = True
    seen_ttl_seconds: int = 518_400
    seen_capacity: int = 1000
    seen_error_rate: float = 0.01
    trending_candidates: int = 0
    trending_cold_candidates: int = 0
    trending_by: Mapping[str, str] = field(default_factory=dict)
    feast_project: str | None = None
    feast_ttl_seconds: int = 0

    @property
    def trending(self) -> bool:
        """Whether any request gets trending items."""
        return self.trending_candidates > 0 or self.trending_cold_candidates > 0


def model_name(version: str) -> str:
    """Triton's name of a version's entry; versions lie beside each other, none is replaced in place."""
    return part_name("recommender", version)


def render(version: str, settings: ServingSettings) -> dict[str, bytes]:
    """Files of the repository by path, ``/`` between folders."""
    entry = model_name(version)
    # The ensemble needs no settings itself, but its version folder, and its parts look there.
    files = {f"{entry}/1/{SETTINGS_FILE}": _json(settings)}
    if settings.graph == "fused":
        return files | {
            f"{entry}/config.pbtxt": _fused(entry, settings),
            f"{entry}/1/model.py": _model(_FUSED, "triton_model"),
            f"{entry}/warmup/{WARMUP_FILE}": WARMUP,
        }
    files[f"{entry}/config.pbtxt"] = _ensemble(entry, version)
    for name, stage in STAGES.items():
        folder = part_name(name, version)
        files[f"{folder}/config.pbtxt"] = _part(folder, stage, settings)
        files[f"{folder}/1/model.py"] = _model(_PART, "triton_part")
    return files


def _json(settings: ServingSettings) -> bytes:
    return json.dumps(asdict(settings), indent=1, sort_keys=True).encode() + b"\n"


def _model(what: str, module: str) -> bytes:
    return (_MODEL % (what, module, module)).encode()


def _fused(name: str, settings: ServingSettings) -> bytes:
    """One model; the first dimension of a tensor is the batch, whose members may have any length."""
    tensors = f"""input [
  {{
    name: "{REQUEST}"
    data_type: TYPE_UINT8
    dims: [ -1 ]
    allow_ragged_batch: true
  }}
]
output [
  {{
    name: "{REPLY}"
    data_type: TYPE_UINT8
    dims: [ -1 ]
  }},
  {{
    name: "{TIMES}"
    data_type: TYPE_FP32
    dims: [ {len(FUSED)} ]
  }}
]
"""
    batcher = f"""dynamic_batching {{
  max_queue_delay_microseconds: {settings.batch_delay_microseconds}
}}
model_warmup [
  {{
    name: "{WARMUP_FILE}"
    batch_size: 1
    count: 3
    inputs {{
      key: "{REQUEST}"
      value: {{
        data_type: TYPE_UINT8
        dims: [ {len(WARMUP)} ]
        input_data_file: "{WARMUP_FILE}"
      }}
    }}
  }}
]
"""
    head = _head(name, "python", settings.batch_requests)
    return (head + tensors + _instances(settings, settings.instances) + batcher).encode()


def _part(name: str, stage: Stage, settings: ServingSettings) -> bytes:
    return (_head(name, "python", 0) + _tensors(stage) + _instances(settings, 1)).encode()


def _head(name: str, backend: str, batch: int) -> str:
    return f"""name: "{name}"
backend: "{backend}"
max_batch_size: {batch}
version_policy {{ specific {{ versions: 1 }} }}
"""


def _instances(settings: ServingSettings, count: int) -> str:
    # AUTO: a GPU where Triton sees one; a pod whose device is only simulated still serves, on the CPU.
    kind = "KIND_AUTO" if settings.gpus else "KIND_CPU"
    return f"""instance_group [
  {{
    count: {count}
    kind: {kind}
  }}
]
"""


def _ensemble(name: str, version: str) -> bytes:
    steps = "".join(
        f"""    {{
      model_name: "{part_name(stage, version)}"
      model_version: 1
{_map("input_map", one.inputs)}{_map("output_map", one.outputs)}    }},
"""
        for stage, one in STAGES.items()
    ).removesuffix(",\n")
    return f"""name: "{name}"
platform: "ensemble"
max_batch_size: 0
version_policy {{ specific {{ versions: 1 }} }}
{_tensors(Stage((REQUEST,), (REPLY,)))}ensemble_scheduling {{
  step [
{steps}
  ]
}}
""".encode()


def _map(field: str, names: Iterable[str]) -> str:
    """A tensor has the same name in the stages and between them."""
    return "".join(f'      {field} {{ key: "{name}" value: "{name}" }}\n' for name in names)


def _tensors(stage: Stage) -> str:
    return _list("input", stage.inputs) + _list("output", stage.outputs)


def _list(field: str, names: Iterable[str]) -> str:
    return f"{field} [\n" + ",\n".join(_tensor(name) for name in names) + "\n]\n"


def _tensor(name: str) -> str:
    one = TENSORS[name]
    return f"""  {{
    name: "{name}"
    data_type: TYPE_{one.type}
    dims: [ {", ".join(map(str, one.dims))} ]
  }}"""
