"""Back up the database, the media and the secret key into one directory, and restore them."""
