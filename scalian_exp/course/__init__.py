"""The course on encoder-decoder networks: small runs, and the page on which each of its statements happens."""
