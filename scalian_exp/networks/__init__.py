"""Networks of all families: plain torch modules that know neither Lightning nor Hydra."""
