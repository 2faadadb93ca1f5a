"""What really happens beside what was planned."""
