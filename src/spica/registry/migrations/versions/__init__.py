"""One file per step of the tables, in order."""
