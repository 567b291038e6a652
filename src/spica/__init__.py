"""spica: everything between a wide-field telescope and a published sky survey."""

__version__ = "0.1.0"
