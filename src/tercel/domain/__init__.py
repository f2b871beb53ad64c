"""Frozen dataclasses and pure functions: what the use-cases talk about."""
