"""Tests of control: plan and reality."""
