"""What would happen: requests played against a plan, engine step by engine step."""
