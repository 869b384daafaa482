"""Measures the service on this machine; nothing imports it. Run ``python -m benchmarks``."""
