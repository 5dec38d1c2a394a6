"""The model card of a version, from its manifest and the evaluation of its challenge: what the two pages show."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from include.cards import intervals
from include.cards.facts import Facts
from include.gate.checks import MEASURES
from include.gate.evaluation import (
    BASELINE,
    CHALLENGER,
    CHAMPION,
    Champion,
    Estimate,
    Evaluation,
    Gain,
    Group,
    Holdout,
    Side,
    Slice,
)
from include.spec import Fairness, Model, Task
from include.statistics.metrics import gain as difference
from include.training import measures
from include.training.recipes import Trial

Pictures = Mapping[str, bytes]
"""SVG files by name, from `plots.draw`."""

SIDES = {CHALLENGER: "this version", CHAMPION: "champion so far", BASELINE: "trivial baseline"}
MOST_LINES = 40
"""Lines of a table of slices or groups: the worst, and the largest."""

UNKNOWN, LONGEST_TEXT = "\N{EN DASH}", 40


def markdown(model: Model, facts: Facts) -> str:
    """The card as Markdown."""
    return _template("markdown").render(**_view(model, facts)).strip() + "\n"


def html(model: Model, facts: Facts, pictures: Pictures | None = None) -> str:
    """The card as a page that needs no other file; light and dark. ``pictures`` of the holdout are shown in it."""
    inline = {name: base64.b64encode(svg).decode() for name, svg in (pictures or {}).items()}
    return _template("html").render(**_view(model, facts), pictures=inline).strip() + "\n"


def _view(model: Model, facts: Facts) -> dict[str, object]:
    """What both templates show, as sentences and table rows."""
    evaluation, manifest = facts.evaluation, facts.manifest
    metrics = list(measures.metrics_of(model))
    against_baseline = model.gate.baseline_metric or model.training.metric
    metrics.sort(key=lambda name: (name != model.training.metric, name != against_baseline))
    return {
        "model": model,
        "facts": facts,
        "manifest": manifest,
        "predicts": _predicts(model),
        "inputs": ", ".join(column.name for column in model.data.inputs),
        "metric": model.training.metric,
        "metrics": metrics,
        "judged": _judged(model.training.metric, against_baseline),
        "sure": f"{100 * (1 - model.gate.alpha):.3g} %",
        "interval": f"{100 * (1 - intervals.ALPHA):.3g} %",
        "compared": _compared(model, facts, metrics),
        "challenge": _challenge(model, evaluation),
        "anchors": _anchors(model, evaluation),
        "slices": _slices(model, evaluation),
        "fairness": [_rule(model, rule, evaluation) for rule in model.gate.fairness],
        "checks": [
            [check.name, figure(check.value), figure(check.limit), check.result, check.sentence]
            for check in manifest.decision.checks
        ],
        "quality": _quality(facts),
        "labels": _labels(model, manifest.holdout),
        "candidates": [_candidate(trial, metrics, manifest.recipe.candidate) for trial in facts.selection.table],
        "fits": _fits(model, facts),
        "holdout": manifest.holdout,
        "snapshot": manifest.snapshot,
        "recipe": ", ".join(f"{k} = {v}" for k, v in manifest.recipe.as_dict().items() if v is not None),
        "parameters": json.dumps(facts.parameters.as_dict(), ensure_ascii=False),
        "packages": ", ".join(f"{k} {v}" for k, v in manifest.packages.items()),
        "commit": f"{manifest.commit}{' with changes that were not committed' if manifest.dirty else ''}"
        if manifest.commit
        else "no git repository",
    }


def figure(value: float | str | None) -> str:
    """A figure for a table: about four significant digits, a dash if there is none, the beginning of a long text."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return UNKNOWN
    if isinstance(value, str):
        text = " ".join(value.split())
        return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}\N{HORIZONTAL ELLIPSIS}"
    if isinstance(value, int) or abs(value) >= 1000 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 0.001 else f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def _predicts(model: Model) -> str:
    label = model.data.label
    if label.classes is not None:
        return f"the probability of each `{label.column}`: {', '.join(map(repr, label.classes))}"
    if label.task is Task.CLASSIFICATION:
        return f"the probability that `{label.column}` is {label.positive!r}"
    return f"the value of `{label.column}`"


# -- how good it is


def _judged(metric: str, against_baseline: str) -> str:
    """In which metrics the gate compares, because a decision quotes one of them and the table begins with the other."""
    if metric == against_baseline:
        return f"The gate compares it with the champion and with the trivial baseline in {metric}."
    return f"The gate compares it with the champion in {metric}, and with the trivial baseline in {against_baseline}."


def _compared(model: Model, facts: Facts, metrics: Sequence[str]) -> dict[str, list[str] | list[list[str]]]:
    """A line for each metric, a column for each side, and the paired gain over the champion (else the baseline)."""
    other = CHAMPION if CHAMPION in facts.manifest.compared.sides else BASELINE
    heads, lines = ["metric"], []
    for name in facts.manifest.compared.sides:
        found = facts.manifest.compared.side(name)
        # a champion that could not be compared has no candidate and no days
        last = found.last if isinstance(found, Side) else "an unknown day"
        who = (found.candidate if isinstance(found, Champion) else None) or found.name
        heads.append(f"{SIDES[name]}: {who}, fitted up to {last}")
    for metric in metrics:
        better = "larger" if measures.metric(model, metric).larger_is_better else "smaller"
        cells = [_with_interval(facts, name, metric) for name in facts.manifest.compared.sides]
        lines.append([f"{metric} ({better} is better)", *cells, gain(facts.evaluation.estimate(other, metric))])
    return {"head": [*heads, f"gain over the {SIDES[other]}"], "rows": lines}


def _with_interval(facts: Facts, side: str, metric: str) -> str:
    scored = facts.manifest.compared.side(side)
    value = scored.metrics.get(metric) if isinstance(scored, Side) else None
    found = intervals.between(facts.evaluation, side, metric)
    if value is None or found is None:
        return figure(value)
    return f"{figure(value)} ({figure(found[0])} to {figure(found[1])})"


def gain(estimate: Estimate | None) -> str:
    """A gain with its limits: ``+0.0121 (+0.0035 to +0.0207)``."""
    found = Gain.of(estimate)
    if found is None:
        value = estimate.value if estimate else None
        return UNKNOWN if value is None else f"{_plus(value)} (limits unknown)"
    return f"{_plus(found.value)} ({_plus(found.lower)} to {_plus(found.upper)})"


def _plus(value: float) -> str:
    return f"{'+' if value > 0 else ''}{figure(value)}"


# -- the challenge


def _challenge(model: Model, evaluation: Evaluation) -> list[str]:
    """The kind of the challenge, in sentences."""
    change, margin = evaluation.change, f"{model.gate.margin:g}"
    so_far = ""
    if change is not None:
        who = f"{change.rival} against {change.incumbent}"
        so_far = f"{change.days} of {change.wanted} days of scores of both are collected"
        so_far += f" ({who}: gain {gain(change.gain)})." if Gain.of(change.gain) else f" ({who})."
        if change.earliest and change.days < change.wanted:
            so_far += f" It can pass in the night about {change.earliest} at the earliest."
    if evaluation.kind == "first":
        lines = ["The first of this model: there was no champion, so it had to beat the trivial baseline only."]
    elif evaluation.kind == "refresh":
        lines = [
            "A refresh: the recipe of the champion, fitted to newer days. It may not be worse than the champion by "
            f"more than {margin} in {model.training.metric}."
        ]
        lines += [f"Meanwhile another recipe is observed. {so_far}"] if change else []
    elif evaluation.kind == "change":
        lines = [f"A change: another recipe than the champion's. It must be better. {so_far}".rstrip()]
    else:
        lines = ["It is not recorded whether this is a first model, a refresh or a change of the recipe."]
    unusable = evaluation.champion_unusable
    return [*lines, *([f"The champion could not be compared: {unusable}"] if unusable else [])]


def _anchors(model: Model, evaluation: Evaluation) -> list[list[str]]:
    """Champions of earlier nights on the same days, and how the challenger compares."""
    metric, rows = model.training.metric, []
    compared, mine = measures.metric(model, metric), evaluation.metric(CHALLENGER, metric)
    for anchor in evaluation.anchors or ():
        known = mine is not None and anchor.value is not None
        score = f"not scored: {anchor.error or 'no reason is recorded'}"
        if anchor.value is not None:
            score = figure(anchor.value)
        rows.append(
            [
                "1 night ago" if anchor.nights_ago == 1 else f"{anchor.nights_ago} nights ago",
                anchor.name or UNKNOWN,
                f"up to {anchor.last}" if anchor.last else UNKNOWN,
                score,
                _plus(difference(compared, mine or 0.0, anchor.value or 0.0)) if known else UNKNOWN,
            ]
        )
    return rows


def _slices(model: Model, evaluation: Evaluation) -> dict[str, object]:
    """The values of the declared columns: those that are judged, the worst first, then the others by rows."""
    found = evaluation.slices or ()

    def place(one: Slice) -> tuple[bool, float]:
        known = Gain.of(one.gain)
        return known is None, known.value if known else -one.rows

    listed = sorted(found, key=place)[:MOST_LINES]
    return {
        "declared": ", ".join(model.gate.slices),
        "margin": f"{model.gate.slice_margin or 2 * model.gate.margin:g}",
        "left_out": len(found) - len(listed),
        "rows": [
            [
                f"{one.column} = {one.value}",
                figure(one.rows),
                figure(one.days),
                figure(one.challenger),
                figure(one.other),
                "too little data to judge" if one.gain is None else gain(one.gain),
            ]
            for one in listed
        ],
    }


def _rule(model: Model, rule: Fairness, evaluation: Evaluation) -> dict[str, object]:
    """For a declared rule of fairness a sentence, and its groups."""
    found = evaluation.fairness_of(rule.column, rule.measure)
    gap, groups = (found.difference, found.groups) if found else (None, ())
    limits = Gain.of(gap)
    how_much = "not known" if gap is None or gap.value is None else figure(gap.value)
    if limits is not None:  # a difference is never below 0, only its limit is
        how_much += f" (limits {figure(max(0.0, limits.lower))} to {figure(limits.upper)})"
    allowed = "It is reported only." if rule.limit is None else f"{rule.limit:g} is allowed."
    decided = rule.measure != "group_error" and not model.data.label.multiclass
    at = f" A decision is positive if the score is at least {rule.threshold:g}." if decided else ""
    what, heads = MEASURES[rule.measure], _heads(model, rule.measure)
    return {
        "title": f"{rule.measure.replace('_', ' ').capitalize()} of {rule.column}",
        "sentence": f"The largest difference of {what} between groups of {rule.column} is {how_much}. {allowed}{at}",
        "head": [rule.column, "rows", *heads],
        "rows": [[_group(one), figure(one.rows), *map(figure, one.figures)] for one in groups[:MOST_LINES]],
        "left_out": max(0, len(groups) - MOST_LINES),
    }


def _group(one: Group) -> str:
    return one.value if one.judged else f"{one.value} (too few rows to judge)"


def _heads(model: Model, measure: str) -> list[str]:
    """The names of a group's figures, in the order of `comparison.fairness`."""
    if measure == "group_error":
        return ["mean absolute error" if model.data.label.task is Task.REGRESSION else "mean log loss"]
    each = ["positive decisions"] if measure == "demographic_parity" else ["true positive rate", "false positive rate"]
    classes = model.data.label.classes
    return each if classes is None else [f"{head}, {c}" for c in classes for head in each]


# -- what it was made of


def _quality(facts: Facts) -> list[str]:
    """What is known about rows of the snapshot's days that are not in it."""
    missing, bad = facts.manifest.snapshot.missing, facts.quarantined
    lines = [f"Days that are missing: {', '.join(missing)}." if missing else "No day is missing."]
    if bad is None:
        lines.append("How many rows of these days are in quarantine is not known.")
    elif bad.worst is not None:
        on, rows = bad.worst
        days = f"{bad.days} days ({rows:,} of them of {on})" if bad.days > 1 else on
        lines.append(f"In quarantine, and not trained on: {bad.rows:,} rows of {days}.")
    else:
        lines.append("No row of these days is in quarantine.")
    return lines


def _labels(model: Model, holdout: Holdout) -> str:
    """How the labels of the holdout are distributed."""
    label, mean = model.data.label, holdout.label_mean
    if label.classes is not None:
        shares = holdout.label_shares or {}
        return ", ".join(f"{100 * share:.1f} % are {name!r}" for name, share in shares.items())
    if mean is None:
        return "the labels are not summarised"
    if label.task is Task.REGRESSION:
        return f"the mean {label.column} is {figure(mean)}"
    return f"{label.column} is {label.positive!r} in {100 * mean:.1f} % of them"


def _candidate(trial: Trial, metrics: Sequence[str], chosen: str) -> list[str]:
    name = f"{trial.candidate} (chosen)" if trial.candidate == chosen else trial.candidate
    figures = [figure(trial.metrics.get(metric)) for metric in metrics]
    return [name, *figures, f"{trial.rows:,}", f"{trial.first} to {trial.last}"]


def _fits(model: Model, facts: Facts) -> list[list[str]]:
    twin, release = facts.manifest.twin, facts.manifest.release
    return [
        [
            "twin",
            "was judged; never serves",
            f"{twin.first} to {twin.last}",
            f"{twin.rows:,}",
            f"{model.training.holdout_days} days before the as-of",
        ],
        [
            "release model",
            "serves; was not judged itself",
            f"{release.first} to {release.last}",
            f"{release.rows:,}",
            "none",
        ],
    ]


@cache
def _template(kind: str) -> Template:
    page = kind == "html"
    environment = Environment(
        autoescape=page,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=None if page else lambda value: str(value).replace("<", "&lt;"),
    )
    # names and notes come from data and people: in Markdown they must not break a table or become a tag
    environment.filters["line"] = lambda text: " ".join(str(text).split())
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    template = Path(__file__).with_name("card.html.j2" if page else "card.md.j2")
    return environment.from_string(template.read_text(encoding="utf-8"))
