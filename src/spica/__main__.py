"""`python -m spica` is `spica`."""

from __future__ import annotations

from spica.cli.main import app

if __name__ == "__main__":
    app(prog_name="spica")
