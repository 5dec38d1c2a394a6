"""Mistakes in the files of a model: what is wrong, where exactly it stands, and which text would mend it."""
