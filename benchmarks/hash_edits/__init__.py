"""Edited copies of pictures that are known only by a hash: recall and false hits."""
