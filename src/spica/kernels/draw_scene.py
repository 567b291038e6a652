"""Whole-frame passes of a simulated exposure: sky, response, dark current."""

import math

import numpy as np

from spica.kernels.compiled import Float32, compiled


@compiled
def expose_into(
    image: Float32,
    sky: tuple[float, float, float],
    response: Float32,
    fringes: Float32,
    fringe_level: float,
    dark: Float32,
    dark_time: float,
) -> None:
    """Turn light of sources into expected electrons in the wells, in place.

    ``image ← (image + plane + fringe_level · fringes) · response + dark · dark_time``.

    Parameters
    ----------
    image : (ny, nx) float32
        Light of sources [electron] in an ideal detector; changed.
    sky : three float
        Plane of the sky: value at pixel (0, 0) [electron] and its slopes along x and y [electron/pixel].
    response : (ny, nx) float32
        Relative response, or (1, 1) for an even one.
    fringes : (ny, nx) float32
        Fringe pattern of unit amplitude, or (1, 1) for none.
    fringe_level : float
        Its amplitude [electron].
    dark : (ny, nx) float32
        Dark current [electron/s], or (1, 1) for none.
    dark_time : float
        Seconds.
    """
    ny, nx = image.shape
    has_response, has_fringes, has_dark = response.size > 1, fringes.size > 1, dark.size > 1
    time = np.float32(dark_time)
    height = np.float32(fringe_level)
    for y in range(ny):
        line = image[y]
        base = np.float32(sky[0] + sky[2] * y)
        slope = np.float32(sky[1])
        for x in range(nx):
            line[x] += base + slope * np.float32(x)
        if has_fringes:
            wave = fringes[y]
            for x in range(nx):
                line[x] += height * wave[x]
        if has_response:
            gain = response[y]
            for x in range(nx):
                line[x] *= gain[x]
        if has_dark:
            current = dark[y]
            for x in range(nx):
                line[x] += time * current[x]


@compiled
def vignette_into(
    image: Float32, origin: tuple[float, float], dx: tuple[float, float], dy: tuple[float, float], depth: float
) -> None:
    """Multiply by ``1 - depth r² (0.4 + 0.6 r⁴)``, r the distance from the axis in units of the field's radius.

    `origin` is the place of pixel (0, 0) in those units, `dx` and `dy` its change per pixel along x and y.
    """
    ny, nx = image.shape
    for y in range(ny):
        line = image[y]
        u0, v0 = origin[0] + dy[0] * y, origin[1] + dy[1] * y
        for x in range(nx):
            u, v = u0 + dx[0] * x, v0 + dx[1] * x
            r2 = u * u + v * v
            line[x] *= np.float32(1.0 - depth * r2 * (0.4 + 0.6 * r2 * r2))


@compiled
def dust_into(image: Float32, x: float, y: float, inner: float, outer: float, depth: float) -> None:
    """Multiply by the soft ring-shaped shadow that a grain of dust out of focus casts."""
    ny, nx = image.shape
    for j in range(max(0, math.ceil(y - outer - 3)), min(ny, math.floor(y + outer + 3) + 1)):
        for i in range(max(0, math.ceil(x - outer - 3)), min(nx, math.floor(x + outer + 3) + 1)):
            r = math.sqrt((i - x) ** 2 + (j - y) ** 2)
            inside = min(max(outer - r + 0.5, 0.0), 1.0) * min(max(r - inner + 0.5, 0.0), 1.0)
            image[j, i] *= np.float32(1.0 - depth * inside)


@compiled
def fringes_into(image: Float32, waves: tuple[float, float, float, float, float, float]) -> None:
    """Fill with a pattern of mean about 0 and amplitude about 1: interference in a plate of uneven thickness.

    ``sin φ`` with the thickness φ(x, y) a plane plus a slow wave: (phase, per x, per y, amplitude, wave number x,
    wave number y).
    """
    ny, nx = image.shape
    phase, ax, ay, amplitude, kx, ky = waves
    for y in range(ny):
        line = image[y]
        for x in range(nx):
            thickness = phase + ax * x + ay * y + amplitude * math.sin(kx * x + 0.7) * math.cos(ky * y + 0.3)
            line[x] = np.float32(math.sin(thickness))
