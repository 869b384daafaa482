"""Growth: searching ten thousand, a hundred thousand and a million images."""
