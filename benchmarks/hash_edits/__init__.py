"""Edited copies of pictures of which only a hash is known: recall and false hits."""
