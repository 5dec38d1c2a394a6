"""Finds every mistake of a model folder, with file, line and a fix; needs neither the network nor the data."""
