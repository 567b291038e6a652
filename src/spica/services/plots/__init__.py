"""Plots of what was calibrated, each a function from plain records to a `Plot`."""
