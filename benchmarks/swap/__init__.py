"""``make bench-swap``: swaps and kills under load."""
