"""What marks an item as seen in Valkey."""

from collections.abc import Sequence

import numpy as np
from recstack_triton_templates.seen_keys import SeenKeys

PROBE = ("BF.EXISTS", "recstack:seen-bf:probe", "0")
"""An error where the server has no Bloom module, or we may not use it."""


def marks(
    keys: SeenKeys, user: int, item: int, seconds: float, now: float, *, native: bool
) -> list[Sequence[str | int]]:
    """Commands that mark ``item`` as seen at ``seconds``; none when that is too long ago to count.

    ``native``: the server has a Bloom module. Then BF.INSERT comes first, and after it the command that does
    the same without, for a server that refuses. A filter of the module grows when it is full.
    """
    part = keys.slice_of(seconds)
    expiry = keys.expiry(part)
    if expiry <= now:
        return []
    bitmap, bloom = keys.bitmap(user, part), keys.bloom
    positions = bloom.positions(np.array([item], dtype=np.int64)).ravel().tolist()
    sets = [word for position in positions for word in ("SET", "u1", position, 1)]
    commands: list[Sequence[str | int]] = [["BITFIELD", bitmap, *sets], ["EXPIREAT", bitmap, expiry]]
    if not native:
        return commands
    filter_ = keys.native(user, part)
    shape = ("CAPACITY", bloom.capacity, "ERROR", str(bloom.rate))
    return [["BF.INSERT", filter_, *shape, "ITEMS", item], *commands, ["EXPIREAT", filter_, expiry]]
