"""The procedural artist: faces with exact labels, drawn by code."""
