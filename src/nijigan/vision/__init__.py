"""Detect faces in pictures, and read their hair and eye colours."""
