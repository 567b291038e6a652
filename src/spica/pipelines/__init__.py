"""Which tasks, in what order, with which settings: TOML, checked before a pixel is read."""
