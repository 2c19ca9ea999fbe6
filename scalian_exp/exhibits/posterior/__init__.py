"""Exhibit: the posterior of a variational autoencoder, and its two errors."""
