"""Loggers, built by configs/logger: TensorBoard, and trackers of experiments such as Weights & Biases."""
