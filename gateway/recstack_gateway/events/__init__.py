"""What people do: accepted by the gateway, worked off by a process of its own."""
