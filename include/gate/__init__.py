"""May the challenger replace the champion: evidence, checks and the decision."""
