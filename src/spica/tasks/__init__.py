"""The science, one deed a module: a settings class, pure functions, one declaration."""
