"""The command line: overrides, messages and printed commands around Hydra."""
