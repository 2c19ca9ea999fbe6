"""Exhibit: images drawn in steps."""
