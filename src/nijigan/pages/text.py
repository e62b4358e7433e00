"""Text from outside, such as names of files and labels, as a page may show it."""

import re

from nijigan.safe_text import MISLEADING

LONGEST = 300
"""Characters; longer text is shortened in the middle."""

_UNSAFE = re.compile(f"[{MISLEADING}]")


def showable(text: str) -> str:
    """The text, with escapes in place of what would disturb a page, and shortened if it is too long to read."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)
