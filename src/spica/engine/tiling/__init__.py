"""Tiles of a release: the grids of the sky, which exposures deserve to be stacked on which tile, and why others do not."""
