"""Planes of codes of several networks, and the same random codes through all of them."""
