"""Kubernetes quantities, where a number is needed."""

import re

_FACTORS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def value(quantity: str) -> float:
    """``500m`` → 0.5, ``1Gi`` → 1073741824.

    Raises:
        ValueError: not a quantity.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)", quantity)
    if match is None or match[2] not in _FACTORS:
        raise ValueError(f"not a quantity: {quantity!r}")
    return float(match[1]) * _FACTORS[match[2]]
