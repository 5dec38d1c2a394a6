"""The models: one folder each. `include/models/README.md` and the project's README say what is in one.

More folders of models can be named in ``PERENNIAL_MODELS`` (separated by ``:``); they are searched after this one.
"""

import os

__path__ = [*__path__, *(p for p in os.environ.get("PERENNIAL_MODELS", "").split(":") if p)]
