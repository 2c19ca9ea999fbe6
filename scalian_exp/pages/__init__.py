"""What HTML pages share that work from disk, without a server or internet: form, scripts, and how they are joined."""
