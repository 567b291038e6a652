"""Bytes: FITS, Parquet, headers, compression, checksums, atomic writes, storage areas."""
