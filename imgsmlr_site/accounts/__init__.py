"""People's accounts: login, second factor, sessions, the first administrator, and their audit."""
