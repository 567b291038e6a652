"""Benchmarks of what is done to single frames."""
