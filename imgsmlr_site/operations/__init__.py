"""What operators start by a button: searches for duplicates, scans, backups, failed tasks again."""
