"""Completeness and reliability of a stack's catalogue, by sources that are put in and found again."""

from spica.tasks.completeness.task import TASK, CompletenessSettings, completeness

__all__ = ["TASK", "CompletenessSettings", "completeness"]
