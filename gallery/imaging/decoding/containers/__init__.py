"""Reads from the structure of files what Pillow does not tell or gets wrong. Decodes no pixel."""
