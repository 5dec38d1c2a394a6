"""The folder of DAG files, as a bundle that makes each parse cheap.

The DAG processor parses each file in a process that it forks. Before the fork, Airflow imports the modules of `airflow`
that a file names, but not those of a project, so each parse would import all of ours again: most of what a parse costs,
every few seconds, also while nothing runs. This bundle imports them in the DAG processor.
"""

from __future__ import annotations

import importlib
import logging

from airflow.dag_processing.bundles.local import LocalDagBundle

from include.stack.preload import OF_DAG_FILES

log = logging.getLogger(__name__)


class DagsFolder(LocalDagBundle):
    """A `LocalDagBundle` that imports what its files need before they are parsed."""

    def refresh(self) -> None:
        """Import the modules, unless this was done before. Only the DAG processor calls this, before its parses."""
        super().refresh()
        for name in OF_DAG_FILES:
            try:
                importlib.import_module(name)
            except Exception:  # the parse of each file that needs the module reports the error
                log.exception("The DAG processor could not import %s before it parses", name)
