"""Limits that the command line shows and the decoder enforces; this module imports nothing."""

MAX_PIXELS = 2**26
"""The largest width × height that is decoded: 8192×8192, a poster scanned at 600 dpi, is 200 MB in memory."""
