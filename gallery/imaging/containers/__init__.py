"""How files are built, so far as Pillow does not tell or gets it wrong. Decodes no pixel."""
