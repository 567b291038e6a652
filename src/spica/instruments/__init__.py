"""Cameras: one validated table each."""
