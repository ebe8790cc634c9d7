"""A real Kubernetes node on one plain Linux machine, without Docker and without an image registry."""
