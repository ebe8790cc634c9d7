"""`kubectl recstack`: what a stack does and would do, for people and for programs."""
