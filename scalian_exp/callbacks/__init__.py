"""Lightning callbacks and loggers, built by configs/callbacks and configs/logger or added by the trainer."""
