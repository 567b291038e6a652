"""Version of the tables."""

SCHEMA = 4
"""Every migration raises it by one and writes it into the table `meta`."""
