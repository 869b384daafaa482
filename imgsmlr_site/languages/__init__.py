"""Which language an answer has, and the texts of scripts. Catalogs are in each app's ``locale``."""
