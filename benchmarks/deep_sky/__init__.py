"""Benchmarks of stacks, their catalogues and what is published of them."""
