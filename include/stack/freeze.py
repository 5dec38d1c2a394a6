"""Imported last in the fork server: what has been imported is never looked at by a garbage collection again.

A collection in a forked task would otherwise write to (and so copy) every page that holds an object.
"""

import gc

gc.collect()
gc.freeze()
