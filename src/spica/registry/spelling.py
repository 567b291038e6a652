"""How texts are spelled in the database so that it can hold whatever arrives."""

from __future__ import annotations

# PostgreSQL stores no NUL, and neither database stores lone surrogates (which Python makes of file names that are not
# UTF-8). They are kept as private-use characters of plane 16 and come back as they were.
_PLANE = 0x100000
_THERE = {0: _PLANE, **{code: _PLANE + code for code in range(0xD800, 0xE000)}}
_BACK = {there: here for here, there in _THERE.items()}


def storable(text: str) -> str:
    """The text as every database can hold it."""
    if text.isascii() and "\0" not in text:
        return str(text)
    return text.translate(_THERE)


def restored(text: str) -> str:
    """The text as it was before `storable`."""
    return text if text.isascii() else text.translate(_BACK)
