"""The package in which Hydra finds our sweeper."""
