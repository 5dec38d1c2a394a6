"""Settings of LightGBM, XGBoost and CatBoost that a candidate cannot have: most are converted to ONNX wrongly.

Found by comparing each setting's ONNX model with the library's own scores, on missing and unseen values as well, with
LightGBM 4.7, XGBoost 3.2, CatBoost 1.2.10 and onnxmltools 1.16. Many of these conversions raise no error. What is not
listed here is still compared before each release (`parity`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from include.training import boosters
from include.training.boosters import CATBOOST, LIGHTGBM, XGBOOST, Library
from include.training.targets import Misread

NO_ONNX = "does not become ONNX"
WRONG = "becomes ONNX wrongly, without an error"
GPU = "fits on a GPU, where the same fit gives other bytes"


@dataclass(frozen=True)
class Refused:
    """A setting that cannot be used.

    Attributes
    ----------
    names : of the parameter.
    refused : whether a value that was given for it is refused.
    why : completes ``<parameter>=<value> ...``.
    hint : what to do instead; ``value``: the value to write, as Python, if there is one.
    only : of estimators with a name that ends so.
    """

    library: Library
    names: tuple[str, ...]
    refused: Callable[[Any], bool]
    why: str
    hint: str = "leave it out"
    value: str = ""
    only: str = ""


def _one_of(*values: str) -> Callable[[Any], bool]:
    """Whether a value is, or begins with, one of some words (a loss can have parameters: ``Quantile:alpha=0.9``)."""
    return lambda given: isinstance(given, str) and given.lower().startswith(tuple(v.lower() for v in values))


def _own(given: Any) -> bool:
    """A loss that is a function or an object, not one of the library's names."""
    return given is not None and not isinstance(given, str)


def _listed(given: Any) -> bool:
    return given is not None and len(given) > 0


OBJECTIVE = ("objective", "loss", "app", "application")
CATEGORIES = "encode categories as plain numbers, with an OrdinalEncoder before it"
REFUSED = (
    Refused(LIGHTGBM, ("linear_tree", "linear_trees"), bool, f"{WRONG}: the models in the leaves are lost"),
    Refused(LIGHTGBM, ("zero_as_missing",), bool, f"{WRONG}: ONNX takes only nan for missing"),
    Refused(LIGHTGBM, ("reg_sqrt",), bool, f"{WRONG}: its values are not squared again"),
    Refused(LIGHTGBM, ("sigmoid",), lambda given: given != 1, f"{WRONG}: ONNX has the plain sigmoid"),
    Refused(LIGHTGBM, ("boosting_type", "boosting", "boost"), _one_of("rf", "random_forest"), WRONG,
            "use RandomForestClassifier or RandomForestRegressor of scikit-learn", '"gbdt"'),
    Refused(LIGHTGBM, OBJECTIVE, _one_of("multiclassova", "multiclass_ova", "ova", "ovr"), WRONG,
            'use objective="multiclass"', '"multiclass"'),
    Refused(LIGHTGBM, OBJECTIVE,
            _one_of("cross_entropy", "xent", "fair", "mape", "mean_absolute_percentage_error"), NO_ONNX),
    Refused(LIGHTGBM, ("objective",), _own, NO_ONNX, "use one of LightGBM's own objectives"),
    Refused(LIGHTGBM, ("device", "device_type"), _one_of("gpu", "cuda"), GPU, value='"cpu"'),
    Refused(XGBOOST, ("booster",), _one_of("gblinear", "dart"), NO_ONNX, value='"gbtree"'),
    Refused(XGBOOST, ("missing",), lambda given: given == given, NO_ONNX, "features have nan for a missing value",
            'float("nan")'),
    Refused(XGBOOST, ("num_parallel_tree",), lambda given: (given or 1) > 1, WRONG, value="1", only="XGBClassifier"),
    Refused(XGBOOST, ("multi_strategy",), _one_of("multi_output_tree"), NO_ONNX, value='"one_output_per_tree"'),
    Refused(XGBOOST, ("objective",), _one_of("multi:softmax"), f"{WRONG}: it has no probabilities",
            'use objective="multi:softprob"', '"multi:softprob"'),
    Refused(XGBOOST, ("objective",), _one_of("binary:logitraw", "binary:hinge"), "gives no probabilities",
            'use objective="binary:logistic"', '"binary:logistic"'),
    Refused(XGBOOST, ("objective",), _one_of("survival:", "rank:", "reg:logistic"), WRONG),
    Refused(XGBOOST, ("objective",), _own, NO_ONNX, "use one of XGBoost's own objectives"),
    Refused(XGBOOST, ("device", "tree_method"), _one_of("gpu", "cuda"), GPU),
    Refused(CATBOOST, ("cat_features", "text_features", "embedding_features"), _listed, NO_ONNX, CATEGORIES),
    Refused(CATBOOST, ("grow_policy",), _one_of("Depthwise", "Lossguide", "Region"), NO_ONNX, value='"SymmetricTree"'),
    Refused(CATBOOST, ("boost_from_average",), bool, WRONG, value="False", only="Classifier"),
    Refused(CATBOOST, ("loss_function", "objective"), _one_of("MultiClassOneVsAll"), WRONG,
            'use loss_function="MultiClass"', '"MultiClass"'),
    Refused(CATBOOST, ("loss_function", "objective"),
            _one_of("RMSEWithUncertainty", "MultiQuantile", "MultiRMSE", "Cox", "SurvivalAft"), NO_ONNX),
    Refused(CATBOOST, ("loss_function", "objective"), _own, NO_ONNX, "use one of CatBoost's own losses"),
    Refused(CATBOOST, ("task_type",), _one_of("GPU"), GPU, value='"CPU"'),
)  # fmt: skip


def misused(estimator: Any) -> Iterator[Misread]:
    """The settings of boosters in an unfitted estimator, at any depth, that a candidate cannot have.

    Those that every fit sets itself (one thread) are ``settled``.
    """
    last = boosters.last_step(estimator)
    for part, library in boosters.parts(estimator):
        kind, given = type(part).__name__, part.get_params()
        for rule in REFUSED:
            if rule.library is library and kind.endswith(rule.only):
                for name in rule.names:
                    if name in given and given[name] is not None and rule.refused(given[name]):
                        what = f"{kind}({name}={_shown(given[name])}) {rule.why}"
                        yield Misread(part, name, what, rule.hint, rule.value)
        for name in library.threads:
            if given.get(name) not in (None, 1):
                what = f"{kind}({name}={given[name]}): every fit takes one thread, as others change its bytes"
                yield Misread(part, name, what, "leave it out, or write 1", "1", settled=True)
        if part is not last and boosters.patience(part, library):
            name = next(name for name in library.patience if given.get(name))
            what = f"{kind} is to stop early inside another estimator, which gives it no rows to judge on"
            yield Misread(part, name, what, f"leave {name} out, or make it the last step of a pipeline")


def _shown(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)
