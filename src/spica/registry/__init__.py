"""What exists, where, made by what, in which state: the only room that knows SQL."""
