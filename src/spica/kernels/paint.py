"""Painting into arrays of colours: pictures placed and turned, outlines, letters. Row 0 is the bottom row."""

import numpy as np
import numpy.typing as npt

Canvas = npt.NDArray[np.uint8]
"""(ny, nx, 3) red, green, blue."""
Colour = tuple[int, int, int]

_GLYPHS = {
    "0": "01110 10001 10011 10101 11001 10001 01110", "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111", "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010", "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110", "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110", "9": "01110 10001 10001 01111 00001 00010 01100",
    "A": "01110 10001 10001 11111 10001 10001 10001", "B": "11110 10001 10001 11110 10001 10001 11110",
    "C": "01110 10001 10000 10000 10000 10001 01110", "D": "11110 10001 10001 10001 10001 10001 11110",
    "E": "11111 10000 10000 11110 10000 10000 11111", "F": "11111 10000 10000 11110 10000 10000 10000",
    "G": "01110 10001 10000 10111 10001 10001 01111", "H": "10001 10001 10001 11111 10001 10001 10001",
    "I": "01110 00100 00100 00100 00100 00100 01110", "J": "00111 00010 00010 00010 00010 10010 01100",
    "K": "10001 10010 10100 11000 10100 10010 10001", "L": "10000 10000 10000 10000 10000 10000 11111",
    "M": "10001 11011 10101 10101 10001 10001 10001", "N": "10001 11001 10101 10011 10001 10001 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110", "P": "11110 10001 10001 11110 10000 10000 10000",
    "Q": "01110 10001 10001 10001 10101 10010 01101", "R": "11110 10001 10001 11110 10100 10010 10001",
    "S": "01111 10000 10000 01110 00001 00001 11110", "T": "11111 00100 00100 00100 00100 00100 00100",
    "U": "10001 10001 10001 10001 10001 10001 01110", "V": "10001 10001 10001 10001 10001 01010 00100",
    "W": "10001 10001 10001 10101 10101 11011 10001", "X": "10001 10001 01010 00100 01010 10001 10001",
    "Y": "10001 10001 01010 00100 00100 00100 00100", "Z": "11111 00001 00010 00100 01000 10000 11111",
    "-": "00000 00000 00000 11111 00000 00000 00000", ".": "00000 00000 00000 00000 00000 01100 01100",
    ":": "00000 01100 01100 00000 01100 01100 00000", "/": "00001 00010 00010 00100 01000 01000 10000",
    "_": "00000 00000 00000 00000 00000 00000 11111", "+": "00000 00100 00100 11111 00100 00100 00000",
    " ": "00000 00000 00000 00000 00000 00000 00000", "?": "01110 10001 00001 00010 00100 00000 00100",
}  # fmt: skip
"""Letters of 5 × 7 dots, top row first."""
HEIGHT, ADVANCE = 7, 6
"""Of a letter, in dots."""


def text_mask(text: str, size: int = 1) -> npt.NDArray[np.bool_]:
    """Dots of a line of text (capitals, digits, ``-.:/_+``; others are ``?``), each `size` pixels wide; row 0 bottom."""
    lines = [
        [[dot == "1" for dot in row] for row in _GLYPHS.get(letter, _GLYPHS["?"]).split()] for letter in text.upper()
    ]
    if not lines:
        return np.zeros((HEIGHT * size, 0), bool)
    dots = np.concatenate([np.pad(np.array(glyph, bool), ((0, 0), (0, 1))) for glyph in lines], axis=1)[::-1]
    return np.repeat(np.repeat(dots[:, :-1], size, axis=0), size, axis=1)


def write(canvas: Canvas, text: str, x: int, y: int, colour: Colour, size: int = 1, *, shade: bool = True) -> None:
    """Write a line with its lower left corner at (x, y), on a dark ground where `shade`; what leaves the canvas is cut."""
    dots = text_mask(text, size)
    if shade:
        box = _cut(x - size, y - size, dots.shape[1] + 2 * size, dots.shape[0] + 2 * size)
        canvas[box] = canvas[box] // 4
    ny, nx = canvas.shape[:2]
    v, u = np.nonzero(dots)
    inside = (v + y >= 0) & (v + y < ny) & (u + x >= 0) & (u + x < nx)
    canvas[v[inside] + y, u[inside] + x] = colour


def _cut(x: int, y: int, width: int, height: int) -> tuple[slice, slice]:
    return slice(max(y, 0), max(y + height, 0)), slice(max(x, 0), max(x + width, 0))


def place(
    canvas: Canvas,
    picture: npt.NDArray[np.uint8] | Colour,
    matrix: npt.NDArray[np.float64],
    origin: npt.NDArray[np.float64],
    shape: tuple[int, int],
    edge: tuple[Colour, float],
) -> None:
    """Paint a rectangle that lies anyhow on the canvas, with an outline.

    Parameters
    ----------
    picture : (h, w) grey or (h, w, 3) coloured picture that fills the rectangle, or one colour.
    matrix, origin : canvas (x, y) = matrix @ (u, v) + origin, for (u, v) in the rectangle's own pixels.
    shape : (nv, nu) size of the rectangle in its own pixels.
    edge : colour and width [canvas pixel] of the outline, which lies inside.
    """
    nv, nu = shape
    corners = np.array([(-0.5, -0.5), (nu - 0.5, -0.5), (nu - 0.5, nv - 0.5), (-0.5, nv - 0.5)]) @ matrix.T + origin
    ny, nx = canvas.shape[:2]
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, [nx, ny])
    if x1 <= x0 or y1 <= y0:
        return
    y, x = np.mgrid[y0:y1, x0:x1]
    back = np.linalg.inv(matrix)
    dx, dy = x - origin[0], y - origin[1]
    u, v = back[0, 0] * dx + back[0, 1] * dy + 0.5, back[1, 0] * dx + back[1, 1] * dy + 0.5
    inside = (u >= 0) & (v >= 0) & (u < nu) & (v < nv)
    part = canvas[y0:y1, x0:x1]
    if isinstance(picture, tuple):
        part[inside] = picture
    else:
        h, w = picture.shape[:2]
        rows = np.clip((v[inside] * h / nv).astype(int), 0, h - 1)
        columns = np.clip((u[inside] * w / nu).astype(int), 0, w - 1)
        part[inside] = picture[rows, columns].reshape(rows.size, -1)
    colour, width = edge
    scale = np.sqrt(abs(np.linalg.det(matrix)))
    nearest = np.minimum(np.minimum(u, nu - u), np.minimum(v, nv - v)) * scale
    part[inside & (nearest < width)] = colour
