"""Rows of catalogues by their places on the sky, in the layout of HATS: written with bounded memory, looked up by region."""
