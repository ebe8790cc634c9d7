"""Stored objects into models; what does not fit is a person's to repair, never a crash."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from recstack_controllers.kit.cluster import Manifest
from recstack_controllers.kit.errors import Stalled

Model = TypeVar("Model", bound=BaseModel)


def spec(model: type[Model], manifest: Manifest) -> Model:
    """The object's spec.

    Raises:
        Stalled: it does not validate; names the field. The API server refuses such objects, so this one
            was stored under other CRDs than this operator's.
    """
    try:
        return model.model_validate(manifest.get("spec") or {})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(["spec", *(str(part) for part in first["loc"])])
        more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise Stalled(
            "InvalidSpec",
            f"{field}: {first['msg']}{more}. Correct it, or install CRDs and operator of the same release.",
        ) from None


def status(model: type[Model], manifest: Manifest) -> Model:
    """The object's status; fields of another release are passed over, and one that cannot be read is none.

    Everything in a status can be observed again, so an empty one costs a pass, not an error.
    """
    value: Any = manifest.get("status") or {}
    try:
        return model.model_validate(value, extra="ignore")
    except ValidationError:
        return model()
