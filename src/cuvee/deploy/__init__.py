"""From plan to running replicas: a local launcher."""
