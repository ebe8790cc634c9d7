"""One request's features beside each of its candidates."""

from collections.abc import Mapping

import numpy as np

from recstack_triton_templates.stages.transforms import Array


def unroll(request: Mapping[str, Array], items: Mapping[str, Array], rows: int) -> dict[str, Array]:
    """Arrays [rows, 1] by feature: ``request``'s [1] repeated, ``items``' [rows] as they are."""
    repeated = {name: np.full((rows, 1), value[0], value.dtype) for name, value in request.items()}
    return repeated | {name: value[:, None] for name, value in items.items()}
