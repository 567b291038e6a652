"""Painting: a picture lands where its matrix says, turned and mirrored; letters are legible and stay on the canvas."""

import numpy as np
import pytest

from spica.kernels.paint import place, text_mask, write


def test_a_picture_keeps_its_place_turned_and_mirrored() -> None:
    picture = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    for matrix in (np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]]), np.diag([-1.0, 1.0]), np.diag([-1.0, -1.0])):
        canvas = np.zeros((21, 21, 3), np.uint8)
        origin = np.array([10.0, 10.0])
        place(canvas, picture, matrix, origin, (3, 4), ((0, 0, 0), 0.0))
        for v in range(3):
            for u in range(4):
                x, y = np.rint(matrix @ [u, v] + origin).astype(int)
                assert canvas[y, x].tolist() == [picture[v, u]] * 3
        assert np.count_nonzero(canvas[..., 0]) == 12


def test_an_outline_lies_inside_and_colour_fills() -> None:
    canvas = np.zeros((40, 40, 3), np.uint8)
    place(canvas, (9, 9, 9), np.eye(2), np.array([10.0, 10.0]), (20, 20), ((200, 0, 0), 2.0))
    assert canvas[10, 10].tolist() == canvas[11, 20].tolist() == [200, 0, 0]
    assert canvas[12, 12].tolist() == [9, 9, 9]
    assert canvas[9, 20].tolist() == canvas[30, 20].tolist() == [0, 0, 0]
    place(canvas, (1, 1, 1), np.eye(2), np.array([100.0, 100.0]), (5, 5), ((1, 1, 1), 1.0))
    assert canvas.max() == 200, "what lies outside paints nothing"


@pytest.mark.parametrize("size", [1, 3])
def test_letters(size: int) -> None:
    dots = text_mask("L", size)
    assert dots.shape == (7 * size, 5 * size)
    assert dots[:size].all(), "the foot of an L is at the bottom"
    assert dots[:, :size].all()
    assert not dots[size:, size:].any()
    canvas = np.zeros((30, 30, 3), np.uint8)
    write(canvas, "AB 12", 20, 26, (255, 255, 255), size)
    assert canvas.any()
    write(canvas, "", 0, 0, (1, 1, 1))
    assert text_mask("é").tolist() == text_mask("?").tolist()
