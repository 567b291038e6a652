"""External programs and legacy modules dressed as tasks."""
