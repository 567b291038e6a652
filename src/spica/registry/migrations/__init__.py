"""Migrations of the tables (Alembic); they travel in the wheel and are run by `spica.registry.lifecycle.upgrade`."""
