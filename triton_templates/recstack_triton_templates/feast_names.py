"""Names of a stack in Feast; who renders its repository has no NumPy, so they stand apart from the format."""

USER_VIEW, ITEM_VIEW = "user_features", "item_features"
"""Feature views of a stack; their features are named as the raw columns that they hold."""


def project(namespace: str, stack: str) -> str:
    """Feast's project of a stack, which also names its tables: without dashes, and no other stack's.

    A dash is two underscores: neither name has any, nor begins or ends with a dash.
    """
    return "_".join(("recstack", namespace.replace("-", "__"), stack.replace("-", "__")))
