"""Programs that run inside a node. They use the standard library only."""
