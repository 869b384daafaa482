"""The only writers of the gallery: keyword-only functions, atomic, with the actor as ``by=``."""
