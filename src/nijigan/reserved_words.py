"""Reserved words and limits for the values of attributes."""

ANY, UNKNOWN = "any", "unknown"
"""Reserved words, not values. A request for `any` samples the attribute; a request for `unknown` conditions on
the faces without a label. A tag `unknown` counts as no tag."""

LONGEST_VALUE = 100
"""Maximum length of a value, in characters."""
