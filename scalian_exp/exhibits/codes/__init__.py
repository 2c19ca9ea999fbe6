"""Exhibit: codes, and what they decode to."""
