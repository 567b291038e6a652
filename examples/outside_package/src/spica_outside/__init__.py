"""An outside package: one task, one camera, one pipeline."""
