"""From the JSON of a row to its score: what training, release and server share."""
