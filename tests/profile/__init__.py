"""Mirrors src/cuvee/profile."""  # noqa: A005
