"""Which GPU type and which configuration serve which requests at least cost: the benchmark study."""
