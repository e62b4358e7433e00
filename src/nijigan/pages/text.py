"""Text from outside, such as names of files and labels, as a page may show it."""

import re

LONGEST = 300
"""Characters; longer text is shortened in the middle."""

# Control characters, halves of surrogate pairs, and marks that change the direction of the text after them.
_UNSAFE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def showable(text: str) -> str:
    """The text, with escapes in place of what would disturb a page, and shortened if it is too long to read."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)
