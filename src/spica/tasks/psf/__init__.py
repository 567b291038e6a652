"""The point spread function at every place of one detector: from its stars, or lent by other units."""

from spica.tasks.psf.model import TASK, psf
from spica.tasks.psf.settings import PsfSettings

__all__ = ["TASK", "PsfSettings", "psf"]
