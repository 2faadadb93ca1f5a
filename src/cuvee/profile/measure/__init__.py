"""Rates and latencies measured at an endpoint that serves: load in steps, confidence intervals, a record to resume."""
