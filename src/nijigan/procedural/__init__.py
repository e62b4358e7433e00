"""The procedural artist: code that draws faces with exact labels."""
