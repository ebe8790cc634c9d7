"""``make demo``: the main job from nothing to recommendations, on a lab of its own or on your cluster."""
