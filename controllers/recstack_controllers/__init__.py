"""What the operator decides: one pure reconcile for each kind, free of any operator framework."""
