"""The point spread function at every place of one detector: from its stars, or lent by other units."""

from spica.tasks.psf.model import DEEP, TASK, psf
from spica.tasks.psf.settings import PsfSettings

__all__ = ["DEEP", "TASK", "PsfSettings", "psf"]
