"""What the course shows of several runs side by side."""
