"""Losses: what tasks minimise, as plain torch modules."""
