"""Pipelines of this package: every *.toml beside this file."""
