"""Exhibit: liked and disliked items, the tastes that follow, and recommendations."""
