"""Benchmarks: figures computed in the run that reports them. See README.md beside this file."""
