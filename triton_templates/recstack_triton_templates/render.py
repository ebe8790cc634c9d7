"""The Triton model repository of one version: a pure function of its name and of the serving settings.

Interface of the model, whatever the schema of the stack: one input ``REQUEST`` and one output ``REPLY``, both
UINT8 [-1], holding JSON in UTF-8: a :class:`recstack_triton_templates.request.Request` and the reply
``{"items": [{"id", "score", "title"}], "degraded"}`` or ``{"problem": "…"}`` for a request that cannot be
answered. Features differ from stack to stack, so typed tensors would give each stack another interface.

The package is not named here: whoever lays the repository out puts a link ``1/package`` to it, so that the
same settings give the same files.
"""

import json
from dataclasses import asdict, dataclass

REQUEST, REPLY = "REQUEST", "REPLY"
PACKAGE_LINK = "1/package"
SETTINGS_FILE = "settings.json"

_MODEL = b'''"""A recommendation; the code is the image's, the files beside this one decide what it serves."""

import os
import sys

# The backend starts Python isolated: without this its PYTHONPATH does not count.
sys.path.extend(os.environ.get("PYTHONPATH", "").split(os.pathsep))
from recstack_triton_templates.triton_model import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True)
class ServingSettings:
    """What of a stack's ``spec.serving`` the model needs; defaults are the API's.

    ``gpus`` only decides where it runs: 0 CPU, else a GPU if Triton sees one.
    """

    candidates: int = 300
    top_k: int = 100
    gpus: int = 0
    diversity: bool = False
    temperature: float = 0.05
    seen_filter: bool = True
    seen_ttl_seconds: int = 518_400
    seen_capacity: int = 1000
    seen_error_rate: float = 0.01


def model_name(version: str) -> str:
    """Triton's name of a version's model; versions lie beside each other, none is replaced in place."""
    return f"recommender--{version}"


def render(version: str, settings: ServingSettings) -> dict[str, bytes]:
    """Files of the repository by path, ``/`` between folders."""
    folder = model_name(version)
    return {
        f"{folder}/config.pbtxt": _config(folder, settings),
        f"{folder}/1/model.py": _MODEL,
        f"{folder}/1/{SETTINGS_FILE}": json.dumps(asdict(settings), indent=1, sort_keys=True).encode()
        + b"\n",
    }


def _config(name: str, settings: ServingSettings) -> bytes:
    # AUTO: a GPU where Triton sees one; a pod whose device is only simulated still serves, on the CPU.
    kind = "KIND_AUTO" if settings.gpus else "KIND_CPU"
    return f"""name: "{name}"
backend: "python"
max_batch_size: 0
version_policy {{ specific {{ versions: 1 }} }}
input [
  {{
    name: "{REQUEST}"
    data_type: TYPE_UINT8
    dims: [ -1 ]
  }}
]
output [
  {{
    name: "{REPLY}"
    data_type: TYPE_UINT8
    dims: [ -1 ]
  }}
]
instance_group [
  {{
    count: 1
    kind: {kind}
  }}
]
""".encode()
