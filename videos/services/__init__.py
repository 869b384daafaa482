"""The only writers of videos: keyword-only functions, atomic, with the actor as ``by=``."""
