"""Yield by a person: faces of models and real ones, shown one by one in a browser, blind, and called good or bad."""
