"""One astrometric and photometric solution for all exposures of a group."""

from spica.tasks.solve.solve import TASK

__all__ = ["TASK"]
