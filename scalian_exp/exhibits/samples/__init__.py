"""Exhibit: new images from random codes, and what lies between two codes."""
