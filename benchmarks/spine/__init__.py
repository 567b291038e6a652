"""Figures of the spine: start-up, simulator, ingest, registry, engine."""
