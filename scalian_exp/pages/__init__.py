"""Parts that HTML pages share, which work from disk without a server or internet: form and scripts."""
