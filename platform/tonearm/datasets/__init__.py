"""Data sets: every one of them is a manifest of tracks, read without decoding anything."""
