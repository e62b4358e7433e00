"""The command line."""

from nijigan.cli.entry import main, parse

__all__ = ["main", "parse"]
