"""Who runs the jobs: this process, own worker processes, or Dask; all behind one small interface."""
