"""Generators in other programs' formats."""
