"""Reads from files what Pillow does not tell or gets wrong. Decodes no pixel."""
