"""The words that every room shares: records, product kinds, faults, settings, streams. Imports nothing of spica."""
