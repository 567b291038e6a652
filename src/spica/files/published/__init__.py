"""Published catalogues of objects: written from those of tiles, looked up by place, written out in other forms."""
