"""What a serving pod runs: the stages' code, and the pure renderer of its Triton model repository."""
