"""Imported last in the fork server: garbage collections no longer scan imported objects.

Otherwise a collection in a forked task would write to (and so copy) every page with an object.
"""

import gc

gc.collect()
gc.freeze()
