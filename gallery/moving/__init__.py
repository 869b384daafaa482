"""Moving galleries in and out: the original server's database, and exports of this one."""
