"""Real engines for tests and for `make e2e`: tiny models of random weights, and servers that run them."""
