"""What every reconcile needs and that knows no kind of its own."""
