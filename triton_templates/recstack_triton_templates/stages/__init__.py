"""The stages of a request, written once: training evaluates with them, Triton serves with them."""
