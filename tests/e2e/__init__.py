"""The loop closed on real engines: measure, plan, run, replay a trace, hold what was foretold against what was seen.

Run: python -m tests.e2e
"""
