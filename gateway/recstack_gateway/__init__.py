"""A serving pod's own programs: the one that starts Triton, and the gateway beside it."""
