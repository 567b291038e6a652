"""`spica hips`: tiles of the sky to fly through (HiPS), of the stacks of a band and in colour."""

from spica.services.hips.colour import ColourHipsOrder, colour_hips
from spica.services.hips.making import HipsOrder, MadeHips, make_hips
from spica.services.hips.pieces import Piece
from spica.services.hips.sizes import room_for

__all__ = ["ColourHipsOrder", "HipsOrder", "MadeHips", "Piece", "colour_hips", "make_hips", "room_for"]
