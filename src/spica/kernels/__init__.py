"""Compiled mathematics on plain arrays: numba, serial, without any word of spica."""
