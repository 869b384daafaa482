"""Benchmarks of the service on this machine (``python -m benchmarks``). Nothing imports them."""
