"""Silences log lines of a library that appear at every import and help no reader; import it before that library.

Great Expectations names some 20 functions of its own at INFO ("Skipping registering function ..."). Airflow's setting
`[logging] namespace_levels` does not reach loggers of the standard library (3.3.2), so the level is set here.
"""

import logging

logging.getLogger("great_expectations._docs_decorators").setLevel(logging.WARNING)
