"""Everything between a resolved config and a finished run folder."""
