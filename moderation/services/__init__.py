"""What moderation does; the doors call these."""
