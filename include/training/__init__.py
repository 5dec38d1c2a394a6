"""From a frozen snapshot to a judged, packaged version."""
