"""Words and limits that labels and requests share."""

ANY, UNKNOWN = "any", "unknown"
"""No values: whoever draws faces asks with the first for whatever comes, with the second for faces like those whose
value is not known. A tag that says `unknown` says as much as none."""

LONGEST_VALUE = 100
"""In characters."""
