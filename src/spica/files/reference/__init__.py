"""Reference catalogues: read from what surveys publish, kept as HATS, looked up by place."""
