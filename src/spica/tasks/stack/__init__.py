"""One image of a tile of sky in a band, from all exposures that are chosen for it."""

from spica.tasks.stack.settings import StackSettings
from spica.tasks.stack.stack import TASK, stack

__all__ = ["TASK", "StackSettings", "stack"]
