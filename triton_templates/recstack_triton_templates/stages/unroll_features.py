"""The features of each request beside each of its candidates."""

from collections.abc import Mapping

from recstack_triton_templates.stages.transforms import Array


def unroll(requests: Mapping[str, Array], items: Mapping[str, Array], owners: Array) -> dict[str, Array]:
    """Arrays [M, 1] by feature, [M, width] by embedding, M candidates of N requests.

    Args:
        requests: features of users and contexts, [N] each.
        items: features of candidates, [M] each, and their embeddings, [M, width] each.
        owners: request of each candidate, int [M], 0 to N - 1.
    """
    repeated = {name: value[owners][:, None] for name, value in requests.items()}
    return repeated | {name: value[:, None] if value.ndim == 1 else value for name, value in items.items()}
