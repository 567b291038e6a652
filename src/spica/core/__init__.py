"""The words that everyone shares: records, product kinds, columns, mask bits, faults, settings."""
