"""Says every mistake of a model folder, with file, line and what mends it; needs no network and none of the data."""
