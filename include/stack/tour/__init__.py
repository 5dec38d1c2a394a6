"""`make tour`: a guided tour on the running stack, with real runs of a small model that is removed at the end."""
