"""Columns that leak the target: known only after the event, whatever their names suggest.

Everything is measured on rows that are later than those it was learned from, so that a strong column is one that stays
strong. The limits are high on purpose: a legitimate column is seldom as good as the label itself, and one that was
taken for a leak is written down with its numbers, for a person to put back.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from include.authoring.findings import Findings, FoundColumn, Role
from include.spec import ColumnType, Task

GIVES_AWAY = {Task.CLASSIFICATION: 0.96, Task.REGRESSION: 0.96}  # ROC-AUC, R2 of one column alone, on later rows
STRIKING = {Task.CLASSIFICATION: 0.85, Task.REGRESSION: 0.80}  # reported, and kept
IDENTITY = 0.9999  # R2 of a sum of several columns that is the target
ROWS = 20_000  # that are examined: the newest with a label
LATER_SHARE = 0.3
FEATURES = (Role.FEATURE, Role.MANY, Role.AGE)


def settle_leaks(found: Findings) -> None:
    """Declare what leaks the target as known after the event, and report what was measured."""
    _later_times(found)
    _filled_with_the_label(found)
    labelled = found.rows[found.rows[found.target].notna()].tail(ROWS)
    labelled = labelled.reset_index(drop=True)
    target = _target(found, labelled[found.target])
    of_the_row_before = _of_other_rows(found, labelled)
    for column in found.of(*FEATURES, Role.UNUSED):
        if column.name in of_the_row_before or column.distinct < 2 and not column.nulls:
            continue
        _alone(found, column, labelled, target)
    if found.task is Task.REGRESSION:
        _together(found, labelled, target)


def strength(found: Findings, values: pd.Series, target: np.ndarray, times: pd.Series, kind: ColumnType) -> float:
    """How well a column alone predicts the target of later rows: mean ROC-AUC over the classes, or R2."""
    cut = round(len(target) * (1 - LATER_SHARE))
    if kind is ColumnType.STRING:
        encoded = _means(values, target, cut, found.task)
    else:
        encoded = _numbers(values, times, kind)[:, None]
    early, late = encoded[:cut], encoded[cut:]
    if found.task is Task.REGRESSION:
        tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0).fit(early, target[:cut])
        scores = [r2_score(target[cut:], tree.predict(late))]
        known = np.isfinite(encoded[:, 0])
        if kind is not ColumnType.STRING and known.mean() > 0.5:
            scores.append(_straight(encoded[:, 0], target, cut))
        return float(max(scores))
    tree = DecisionTreeClassifier(min_samples_leaf=5, random_state=0).fit(early, target[:cut])
    chances = tree.predict_proba(late)
    found_classes = list(tree.classes_)
    aucs = [
        roc_auc_score(target[cut:] == c, chances[:, found_classes.index(c)])
        for c in np.unique(target[cut:])
        if c in found_classes and 0 < (target[cut:] == c).sum() < len(target) - cut
    ]
    return float(np.mean(aucs)) if aucs else 0.5


def _alone(found: Findings, column: FoundColumn, labelled: pd.DataFrame, target: np.ndarray) -> None:
    measured = strength(found, labelled[column.name], target, labelled[found.time], column.type)
    what = "ROC-AUC" if found.task is Task.CLASSIFICATION else "R2"
    if measured >= GIVES_AWAY[found.task]:
        found.change(
            column.name,
            Role.AFTER,
            f"predicts the target alone, almost perfectly ({what} {measured:.3f} on later rows): taken for a leak",
        )
    elif measured >= STRIKING[found.task] and column.role is not Role.UNUSED:
        found.say(
            "Look at", f"{column.name} is strong ({what} {measured:.3f} alone, on later rows) and is used. Is it known "
            'before the event? If not, declare known="after" in model.py.'
        )  # fmt: skip


def _later_times(found: Findings) -> None:
    """Times after the event."""
    for column in found.of(Role.AGE):
        both = found.rows[[column.name, found.time]].dropna()
        later = float((both[column.name] > both[found.time]).mean()) if len(both) else 0.0
        if later > 0.02:
            found.change(
                column.name,
                Role.AFTER,
                f"lies after the event in {later:.0%} of the rows (a planned one, like a due date, may be put back)",
            )


def _filled_with_the_label(found: Findings) -> None:
    """Columns that are filled exactly where the label is: both come from the outcome."""
    unlabelled = found.rows[found.target].isna()
    if unlabelled.sum() < 20:
        return
    for column in found.of(*FEATURES):
        missing = found.rows[column.name].isna()
        without, with_label = float(missing[unlabelled].mean()), float(missing[~unlabelled].mean())
        if without > 0.98 and with_label < 0.5:
            found.change(
                column.name,
                Role.AFTER,
                f"is filled only where the target is ({without:.0%} missing without it, {with_label:.0%} with it)",
            )


def _of_other_rows(found: Findings, labelled: pd.DataFrame) -> set[str]:
    """The target of the next row is a leak; that of the row before (returned) is a good feature, however strong."""
    kept: set[str] = set()
    kind = found.column(found.target).type
    groups = [None, *(c.name for c in found.of(*FEATURES, Role.UNUSED) if 1 < c.distinct < 0.2 * len(labelled))][:8]
    for column in found.of(Role.FEATURE, Role.MANY):
        if column.type is not kind and {column.type, kind} - {ColumnType.INTEGER, ColumnType.NUMBER}:
            continue
        if column.distinct < 5:
            continue
        for group in groups:
            if group == column.name:
                continue
            label = labelled[found.target] if group is None else labelled.groupby(group, sort=False)[found.target]
            where = "" if group is None else f" of the same {group}"
            if _same(labelled[column.name], label.shift(-1)):
                found.change(column.name, Role.AFTER, f"is the target of the next row{where}")
            elif _same(labelled[column.name], label.shift(1)):
                kept.add(column.name)
                found.say(
                    "Look at",
                    f"{column.name} is the target of the row before{where}, known before the event: it is used.",
                )
            else:
                continue
            break
    return kept


def _same(values: pd.Series, others: pd.Series) -> bool:
    both = values.notna() & others.notna()
    return bool(both.sum() > 50 and (values[both] == others[both]).mean() > 0.9)


def _together(found: Findings, labelled: pd.DataFrame, target: np.ndarray) -> None:
    """Numbers whose sum is the target: casual + registered = count."""
    numbers = [c.name for c in found.of(Role.FEATURE) if c.type in (ColumnType.INTEGER, ColumnType.NUMBER)]
    if len(numbers) < 2:
        return
    matrix = labelled[numbers].to_numpy(dtype=float)
    known = np.isfinite(matrix).all(axis=1)
    if known.sum() < 5 * len(numbers) + 50:
        return
    spread = matrix[known].std(axis=0)
    usable = spread > 0
    names = [n for n, use in zip(numbers, usable, strict=True) if use]
    scaled = (matrix[known][:, usable] - matrix[known][:, usable].mean(axis=0)) / spread[usable]
    wanted = target[known]
    fit, weights = _linear(scaled, wanted)
    if fit < IDENTITY:
        return
    parts = [n for n, w in zip(names, np.abs(weights), strict=True) if w > 0.01 * wanted.std()]
    for name in parts:
        found.change(
            name, Role.AFTER, f"is a part of the target: {' and '.join(parts)} together give it (R2 {fit:.5f} of a sum)"
        )


def _linear(matrix: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    cut = round(len(target) * (1 - LATER_SHARE))
    with_one = np.column_stack([matrix, np.ones(len(matrix))])
    weights = np.linalg.lstsq(with_one[:cut], target[:cut], rcond=None)[0]
    return float(r2_score(target[cut:], with_one[cut:] @ weights)), weights[:-1]


def _straight(values: np.ndarray, target: np.ndarray, cut: int) -> float:
    """R2 of a straight line on later rows: a scaled target, which a tree only approximates."""
    early, late = np.isfinite(values[:cut]), np.isfinite(values[cut:])
    if early.sum() < 20 or late.sum() < 20 or np.ptp(values[:cut][early]) == 0:
        return 0.0
    slope, level = np.polyfit(values[:cut][early], target[:cut][early], 1)
    return float(r2_score(target[cut:][late], slope * values[cut:][late] + level))


def _means(values: pd.Series, target: np.ndarray, cut: int, task: Task) -> np.ndarray:
    """A text as what its values meant in the early rows: the mean target, or the share of each class."""
    texts = values.fillna("").to_numpy(dtype=object)
    columns = [target] if task is Task.REGRESSION else [(target == c).astype(float) for c in np.unique(target)]
    early = pd.Series(texts[:cut])
    encoded = []
    for column in columns:
        prior = column[:cut].mean()
        groups = pd.Series(column[:cut]).groupby(early.to_numpy())
        smooth = (groups.sum() + 2 * prior) / (groups.count() + 2)
        encoded.append(pd.Series(texts).map(smooth).fillna(prior).to_numpy())
    return np.column_stack(encoded)


def _numbers(values: pd.Series, times: pd.Series, kind: ColumnType) -> np.ndarray:
    if kind in (ColumnType.TIMESTAMP, ColumnType.DATE):
        return ((times - values) / np.timedelta64(1, "D")).to_numpy(dtype=float)
    with np.errstate(over="ignore"):
        numbers = values.to_numpy(dtype=np.float32).astype(float)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _target(found: Findings, labels: pd.Series) -> np.ndarray:
    if found.task is Task.REGRESSION:
        return labels.to_numpy(dtype=float)
    return np.unique(labels.astype("str"), return_inverse=True)[1]
