"""Tests of `cuvee.evaluate`."""
