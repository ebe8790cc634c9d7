"""A seeded generator of retail-shaped interactions."""

from recstack_training.synthetic.write import digest, generate

__all__ = ["digest", "generate"]
