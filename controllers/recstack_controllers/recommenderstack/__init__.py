"""RecommenderStack: stores, model, serving pods, and which version answers."""

from recstack_controllers.recommenderstack.reconcile import reconcile

__all__ = ["reconcile"]
