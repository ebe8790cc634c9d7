"""ModelVersion: one bundle, trained step by step."""

from recstack_controllers.modelversion.reconcile import reconcile

__all__ = ["reconcile"]
