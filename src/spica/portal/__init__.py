"""Web pages and interfaces: thin handlers over services."""
