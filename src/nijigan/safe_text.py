"""Text of strangers, made safe to print and to store, the forms in which names are compared, and reserved words."""

import re
import unicodedata

ANY, UNKNOWN = "any", "unknown"
"""Reserved words, not values. A request for `any` samples the attribute; a request for `unknown` conditions on
the faces without a label. A tag `unknown` counts as no tag."""

LONGEST_VALUE = 100
"""Maximum length of a value, in characters."""

MISLEADING = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""The range, for a regular expression, of control characters but tab and newline, line separators, marks that reverse
the direction of text, and lone surrogates."""

_UNSAFE = re.compile(f"[\t\n{MISLEADING}]")


def safe(text: str) -> str:
    """`text` with every character that could mislead a terminal or a file written as its number: `<U+001B>`.

    All other characters stay, among them wide and non-breaking spaces and the joiners of emoji.
    """
    return _UNSAFE.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)


def is_safe(text: str) -> bool:
    """Whether `safe` would change nothing."""
    return not _UNSAFE.search(text)


def composed(text: str) -> str:
    """`text` with combining characters joined to their letters (NFC). macOS stores file names decomposed."""
    return unicodedata.normalize("NFC", text)


def loose(text: str) -> str:
    """`text` as people see it: in one case, narrow (NFKC), with single spaces and without invisible characters.

    Different names can have the same loose form.
    """
    visible = "".join(
        letter for letter in text if unicodedata.category(letter) != "Cf" and not "\ufe00" <= letter <= "\ufe0f"
    )
    return " ".join(unicodedata.normalize("NFKC", visible).casefold().split())
