"""The JSON documents of a bundle that a predictor needs: what the model takes, and probe rows with their scores.

Written once by the packaging of a version, and read for as long as a bundle can serve: unknown fields are accepted, and
fields that older versions did not write have a default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

import msgspec

from include.errors import IntegrityError, ReleaseError
from include.registry.bundles import Bundle
from include.scoring.messages import Label, Prediction, Row

TOLERANCE = 1e-5
"""Largest accepted difference of a probe row's score from the packaged one; see `Probe.difference`."""


class Document(msgspec.Struct, frozen=True):
    """A JSON document of a bundle."""

    FILE: ClassVar[str]

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The document of a verified bundle.

        Raises
        ------
        IntegrityError : the file is missing, or is not such a document.
        """
        try:
            return msgspec.json.decode(bundle.read(cls.FILE), type=cls)
        except (ValueError, RecursionError) as error:
            raise IntegrityError(f"{bundle.path}/{cls.FILE} is damaged or incomplete: {error}") from None

    def as_dict(self) -> dict[str, object]:
        """The document as it is written to its file."""
        written: dict[str, object] = msgspec.to_builtins(self)
        return written


class Column(msgspec.Struct, frozen=True):
    """A raw input of the model."""

    name: str
    type: Annotated[str, msgspec.Meta(description="string, integer, number, boolean, timestamp or date")]
    nullable: bool


class Feature(msgspec.Struct, frozen=True):
    """What the ONNX model is computed from: a ``string`` or a ``number``."""

    name: str
    type: str


class Tensors(msgspec.Struct, frozen=True, omit_defaults=True):
    """The inputs of an ONNX model that takes all features of a type together.

    Attributes
    ----------
    numbers, texts : name of the input of shape [rows, features of this type], in the order of `InputSchema.features`;
        None if there are none.
    """

    numbers: str | None = None
    texts: str | None = None


class EventDays(msgspec.Struct, frozen=True):
    """How many days before and after the request the event time of a live request may be."""

    past_days: int
    ahead_days: int


class InputSchema(Document, frozen=True, kw_only=True):
    """What the server needs to know about the ONNX model and its inputs.

    Attributes
    ----------
    positive : the class whose probability is the score; None for several classes and regressions.
    classes : two or more classes of a classification.
    positive_index : the output column of the positive class.
    class_columns : for several classes, the output column of each; None for a class that the fit did not have. Absent
        in bundles made before that could happen.
    columns : the raw inputs, in order of declaration.
    key, event_time : names of columns, kept with each prediction.
    event_times : absent in bundles made before it was checked.
    tensors : absent in bundles whose ONNX model has an input of shape [rows, 1] for each feature, named like it.
    output : name of the graph's output with the scores.
    output_kind : ``"probabilities"``, or any other text for a value.
    """

    FILE = "input_schema.json"

    model: str
    task: str
    positive: Label | float | None = None
    classes: list[Label] | None = None
    positive_index: int | None = None
    class_columns: list[int | None] | None = None
    columns: list[Column]
    key: list[str]
    event_time: str
    event_times: EventDays | None = None
    timezone: str
    features: list[Feature]
    tensors: Tensors | None = None
    output: str
    output_kind: str

    @property
    def several(self) -> list[Label] | None:
        """The classes of a model of more than two, else None."""
        return self.classes if self.output_kind == "probabilities" and len(self.classes or ()) > 2 else None

    def as_dict(self) -> dict[str, object]:
        """As `Document.as_dict`; what is absent from older bundles is left out if it is None."""
        optional = ("class_columns", "event_times", "tensors")
        return {name: value for name, value in super().as_dict().items() if name not in optional or value is not None}


class Probe(Document, frozen=True):
    """Real rows, and the scores that the release model gave them when it was packaged.

    Attributes
    ----------
    scores : a number for each row; for several classes, the probability of each.
    scale : what a difference of a score is relative to, if the score itself is smaller (`parity.score_scale`).
    """

    FILE = "probe.json"

    rows: list[Row]
    scores: list[float | dict[str, float]]
    scale: float = 1.0

    def difference(self, answers: Sequence[Prediction], who: str) -> float:
        """The largest difference of ``answers`` from the packaged scores.

        Relative to the packaged score or to `scale`, whichever is larger.

        Parameters
        ----------
        answers : one for each probe row.
        who : what gave the answers, for errors.

        Raises
        ------
        ReleaseError : not exactly one answer for each row, or a difference of more than `TOLERANCE`.
        """
        if not len(answers) == len(self.rows) == len(self.scores):
            raise ReleaseError(
                f"{who} gave {len(answers)} answers to {len(self.rows)} probe rows with {len(self.scores)} scores."
            )
        worst = 0.0
        for at, (got, packaged) in enumerate(zip(answers, self.scores, strict=True)):
            gap = self._gap(got, packaged)
            if not gap <= TOLERANCE:
                answer = got.score if isinstance(packaged, float) else got.scores
                raise ReleaseError(
                    f"{who} answers {answer} to probe row {at}, which scored {packaged} when the version was packaged."
                )
            worst = max(worst, gap)
        return worst

    def _gap(self, got: Prediction, packaged: float | dict[str, float]) -> float:
        """The largest difference of one answer; infinite if it has other classes, or a score that is not finite."""
        if isinstance(packaged, float):
            pairs = [(got.score, packaged)] if isinstance(got.score, float) else []
        elif isinstance(got.scores, dict) and got.scores.keys() == packaged.keys():
            pairs = [(got.scores[name], score) for name, score in packaged.items()]
        else:
            pairs = []
        gaps = [abs(one - other) / max(self.scale, abs(other)) for one, other in pairs]
        return max(gaps) if gaps and all(map(math.isfinite, gaps)) else math.inf
