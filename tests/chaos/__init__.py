"""``make chaos``: the real service under load, while its processes are killed at random."""
