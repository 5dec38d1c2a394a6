"""A bundle as MLflow's flavour ``python_function``: a frame of rows in, a frame of the server's scores out.

`include.retraining.mlflow_model` copies this module, with all that it imports, into the MLflow model of each version:
a client needs neither Perennial nor its bundle store. Frames are only used through their own methods, so that the model
server, which shares these modules, need not import pandas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from include.errors import DataError
from include.registry.bundles import opened_part
from include.scoring.columns import columns_from_frame
from include.scoring.predictor import Predictor
from include.spelling import did_you_mean

SCORE, LABEL, OF_CLASS = "score", "label", "scores."


class FrameScorer:
    """Scores frames with one version of a model.

    Parameters
    ----------
    predictor : of the bundle.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._inputs = [(column.name, column.type) for column in predictor.schema.columns]
        self._nullable = {column.name: column.nullable for column in predictor.schema.columns}

    def predict(self, frame: Any, params: Any = None) -> Any:
        """The scores of the rows of a pandas DataFrame.

        Parameters
        ----------
        frame : with the raw inputs of the model as columns, in types that hold the declared ones; timestamps have a
            timezone, or are ISO 8601 text with an offset. Other columns are ignored. A column that can be missing may
            be left out.
        params : MLflow passes it; the model takes none.

        Returns
        -------
        DataFrame with the index of ``frame``: ``score``, the probability of the positive class or the predicted value;
        or for more than two classes ``label``, the most probable one, and ``scores.<class>`` for each. A row has the
        score nan or infinity if the model server would refuse it, because the model has no finite score for it.

        Raises
        ------
        DataError : a column is missing, a value does not have the declared type, or a required one is missing.
        ModelFailure : the model's own code failed.
        """
        self._require(frame)
        absent = [name for name, _ in self._inputs if name not in frame.columns]
        whole = frame.assign(**dict.fromkeys(absent)) if absent else frame
        columns = columns_from_frame(self._inputs, whole)
        found = self.predictor.score_columns(columns, len(frame)) if len(frame) else np.zeros(self._empty())
        classes = self.predictor.classes
        if classes is None:
            return frame[[]].assign(**{SCORE: np.asarray(found, dtype=np.float64)})
        labels = [classes[at] for at in found.argmax(axis=1)] if len(frame) else []
        by_class = {f"{OF_CLASS}{name}": found[:, at] for at, name in enumerate(classes)}
        return frame[[]].assign(**{LABEL: labels, **by_class})

    def _empty(self) -> tuple[int, ...]:
        return (0,) if self.predictor.classes is None else (0, len(self.predictor.classes))

    def _require(self, frame: Any) -> None:
        if not hasattr(frame, "columns"):
            raise DataError(f"the rows must be a pandas DataFrame, not {type(frame).__name__}.")
        for name, nullable in self._nullable.items():
            if nullable:
                continue
            if name not in frame.columns:
                hint = did_you_mean(name, map(str, frame.columns))
                raise DataError(f"the frame has no column {name!r}, which the model requires{hint}")
            missing = frame[name].isna().to_numpy()
            if missing.any():
                first = frame.index[int(missing.argmax())]
                raise DataError(
                    f"column {name!r} is missing in {int(missing.sum())} of {len(frame)} rows (the first has the index "
                    f"{first!r}), and the model requires it: the server refuses such a row. Leave these rows out."
                )


def _load_pyfunc(path: str) -> FrameScorer:
    """What MLflow calls: the model from the verified files of its bundle in ``path``."""
    return FrameScorer(Predictor.load(opened_part(Path(path))))
