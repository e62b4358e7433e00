"""Dataclasses as JSON: indented when written, validated strictly when read."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from nijigan.errors import UserError
from nijigan.files import check_regular

T = TypeVar("T")


def to_json(value: Any) -> str:
    """A dataclass as indented JSON, for `parse_json` and for people."""
    return json.dumps(asdict(value), indent=2) + "\n"


def parse_json(kind: type[T], text: str, source: str) -> T:
    """Build a dataclass from JSON. Any unknown or ill-typed field raises a `UserError` that names it and `source`."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(text, extra="forbid")
    except UserError as error:  # a contradiction between fields
        raise UserError(f"{source} is not valid: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        # An untrusted file may contain terminal control codes.
        where = ascii(".".join(map(str, first["loc"])))[1:-1][:80]
        raise UserError(f"{source} is not valid: {where + ': ' if where else ''}{first['msg']}.") from error


def read_json(kind: type[T], path: Path) -> T:
    """Read a dataclass from a JSON file, as in `parse_json`. An unreadable file raises a `UserError` that names it."""
    try:
        check_regular(path)
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Could not read {path}: {getattr(error, 'strerror', None) or error}.") from error
    return parse_json(kind, text, str(path))
