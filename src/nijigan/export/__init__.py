"""Generators in other programs' formats, and networks as figures."""
