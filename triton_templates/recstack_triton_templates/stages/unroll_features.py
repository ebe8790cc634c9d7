"""The features of each request beside those of its candidates."""

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


def beside(
    requests: Mapping[str, Array], items: Mapping[str, Array], place: int, own: slice
) -> dict[str, Array]:
    """The same for one request, not repeated: [1, 1] by feature of the request, [M, 1] of its M candidates.

    Args:
        requests: as above.
        items: as above, of the candidates of all requests.
        place: of the request.
        own: its candidates.
    """
    mine = {name: value[place : place + 1, None] for name, value in requests.items()}
    for name, value in items.items():
        mine[name] = value[own, None] if value.ndim == 1 else value[own]
    return mine
