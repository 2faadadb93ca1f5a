"""How fast a replica serves a workload: the throughput table and its providers."""
