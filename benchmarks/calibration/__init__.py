"""Benchmarks of reference catalogues and of what is calibrated with them."""
