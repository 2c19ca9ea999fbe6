"""Exhibit: the nearest learned examples, by code and by pixels."""
