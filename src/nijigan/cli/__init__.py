"""The command line."""

from nijigan.cli.main import main, parse

__all__ = ["main", "parse"]
