"""The model card of a version, from the facts of its manifest and the evidence of its gate: what the two pages show."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from include.cards import intervals
from include.gate.checks import MEASURES
from include.gate.completeness import Gain, find, listed, number, part
from include.spec import Fairness, Model, Task
from include.statistics.metrics import gain as difference
from include.training import evaluation

Pictures = Mapping[str, bytes]
"""SVG files by name, of `plots.draw`."""

SIDES = {"challenger": "this version", "champion": "champion so far", "baseline": "trivial baseline"}
RESULTS = {True: "passed", False: "FAILED", None: "unknown"}
MOST_LINES = 40
"""Lines of a table of slices or groups: the worst, and the largest."""

UNKNOWN, LONGEST_TEXT = "\N{EN DASH}", 40


def markdown(model: Model, facts: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Parameters
    ----------
    facts : `package.on_the_card`.
    """
    return _template("markdown").render(**_view(model, facts)).strip() + "\n"


def html(model: Model, facts: Mapping[str, Any], pictures: Pictures | None = None) -> str:
    """The card as a page that needs no other file; light and dark. ``pictures`` of the holdout are shown in it."""
    inline = {name: base64.b64encode(svg).decode() for name, svg in (pictures or {}).items()}
    return _template("html").render(**_view(model, facts), pictures=inline).strip() + "\n"


def _view(model: Model, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What both templates show, put into words and rows of cells."""
    evidence, holdout = facts["evidence"], facts["holdout"]
    metrics = list(evaluation.metrics_of(model))
    metrics.sort(key=lambda name: name != model.training.metric)
    return {
        "model": model,
        "facts": facts,
        "predicts": _predicts(model),
        "inputs": ", ".join(column.name for column in model.data.inputs),
        "metric": model.training.metric,
        "metrics": metrics,
        "sure": f"{100 * (1 - model.gate.alpha):.3g} %",
        "interval": f"{100 * (1 - intervals.ALPHA):.3g} %",
        "compared": _compared(model, facts, evidence, metrics),
        "challenge": _challenge(model, evidence),
        "anchors": _anchors(model, evidence),
        "slices": _slices(model, evidence),
        "fairness": _fairness(model, evidence),
        "checks": [
            [c["name"], figure(c["value"]), figure(c["limit"]), RESULTS[c["passed"]], c["sentence"]]
            for c in facts["decision"]["checks"]
        ],
        "quality": _quality(facts),
        "labels": _labels(model, holdout),
        "candidates": [_candidate(row, metrics, facts["recipe"]["candidate"]) for row in facts["selection"]["table"]],
        "fits": _fits(model, facts),
        "holdout": holdout,
        "snapshot": facts["snapshot"],
        "recipe": ", ".join(f"{k} = {v}" for k, v in facts["recipe"].items() if v is not None),
        "parameters": json.dumps(facts["parameters"], ensure_ascii=False),
        "packages": ", ".join(f"{k} {v}" for k, v in facts["packages"].items()),
        "commit": f"{facts['commit']}{' with changes that were not committed' if facts['dirty'] else ''}"
        if facts["commit"]
        else "no git repository",
    }


def figure(value: Any) -> str:
    """A figure for a table: about four digits that count, a dash where there is none, the beginning of a long text."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return UNKNOWN
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        text = " ".join(str(value).split())
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


def _compared(
    model: Model, facts: Mapping[str, Any], evidence: Mapping[str, Any], metrics: Sequence[str]
) -> dict[str, Any]:
    """A line for each metric, a column for each side, and the paired gain over the champion (else the baseline)."""
    sides = [side for side in SIDES if side in facts["compared"]]
    other = "champion" if "champion" in sides else "baseline"
    # a champion that could not be compared has no candidate and no days
    names = [f"{facts['compared'][s].get('candidate') or facts['compared'][s].get('name')}" for s in sides]
    fitted = [f"fitted up to {facts['compared'][s].get('last') or 'an unknown day'}" for s in sides]
    lines = []
    for metric in metrics:
        better = "larger" if evaluation.metric(model, metric).larger_is_better else "smaller"
        cells = [_with_interval(facts, evidence, side, metric) for side in sides]
        lines.append([f"{metric} ({better} is better)", *cells, gain(part(evidence, "paired", other).get(metric))])
    heads = [f"{SIDES[side]}: {name}, {until}" for side, name, until in zip(sides, names, fitted, strict=True)]
    return {"head": ["metric", *heads, f"gain over the {SIDES[other]}"], "rows": lines}


def _with_interval(facts: Mapping[str, Any], evidence: Mapping[str, Any], side: str, metric: str) -> str:
    value = number(part(facts["compared"][side], "metrics").get(metric))
    found = intervals.told(part(evidence, "intervals", side), metric)
    if value is None or found is None or found[0] == found[1]:  # a constant ranks nothing on any days
        return figure(value)
    return f"{figure(value)} ({figure(found[0])} to {figure(found[1])})"


def gain(told: Any) -> str:
    """A gain with its limits: ``+0.0121 (+0.0035 to +0.0207)``."""
    found = Gain.of(told)
    if found is None:
        value = number(part({"it": told}, "it").get("value"))
        return UNKNOWN if value is None else f"{_plus(value)} (limits unknown)"
    return f"{_plus(found.value)} ({_plus(found.lower)} to {_plus(found.upper)})"


def _plus(value: float) -> str:
    return f"{'+' if value > 0 else ''}{figure(value)}"


# -- what it was asked


def _challenge(model: Model, evidence: Mapping[str, Any]) -> list[str]:
    """What kind of challenge it was, in sentences."""
    change, margin = part(evidence, "change"), f"{model.gate.margin:g}"
    who = f"{change.get('rival', 'a rival')} against {change.get('incumbent', 'the recipe of the champion')}"
    days, wanted = number(change.get("days")), number(change.get("wanted")) or model.gate.change_days
    known = Gain.of(change.get("gain"))
    so_far = f"{days or 0:.0f} of {wanted:.0f} days of scores of both are collected"
    so_far += f" ({who}: gain {gain(change.get('gain'))})." if known else f" ({who})."
    if change.get("earliest") and (days or 0) < wanted:
        so_far += f" It can pass in the night about {change['earliest']} at the earliest."
    kind = evidence.get("kind")
    if kind == "first":
        said = ["The first of this model: there was no champion, so it had to beat the trivial baseline only."]
    elif kind == "refresh":
        said = [
            "A refresh: the recipe of the champion, fitted to newer days. It may not be worse than the champion by "
            f"more than {margin} in {model.training.metric}."
        ]
        said += [f"Meanwhile another recipe is observed. {so_far}"] if change else []
    elif kind == "change":
        said = [f"A change: another recipe than the champion's. It has to be better. {so_far}"]
    else:
        said = ["It is not recorded whether this is a first model, a refresh or a change of the recipe."]
    unusable = evidence.get("champion_unusable")
    return [*said, *([f"The champion could not be compared: {unusable}"] if unusable else [])]


def _anchors(model: Model, evidence: Mapping[str, Any]) -> list[list[str]]:
    """Champions of earlier nights on the same days, and how the challenger compares."""
    metric, rows = model.training.metric, []
    compared = evaluation.metric(model, metric)
    mine = number(part(evidence, "challenger", "metrics").get(metric))
    for anchor in listed(evidence, "anchors") or []:
        value = number(anchor.get("value"))
        known = value is not None and mine is not None
        rows.append(
            [
                "1 night ago" if anchor.get("nights_ago") == 1 else f"{figure(anchor.get('nights_ago'))} nights ago",
                str(anchor.get("name") or UNKNOWN),
                f"up to {anchor['last']}" if anchor.get("last") else UNKNOWN,
                figure(value) if value is not None else f"not scored: {anchor.get('error') or 'it is not said why'}",
                _plus(difference(compared, float(mine or 0), float(value or 0))) if known else UNKNOWN,
            ]
        )
    return rows


def _slices(model: Model, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the declared columns: those that are judged from the worst on, then the others by rows."""
    found = listed(evidence, "slices") or []

    def place(one: Mapping[str, Any]) -> tuple[bool, float]:
        known = Gain.of(one.get("gain"))
        return known is None, known.value if known else -(number(one.get("rows")) or 0.0)

    shown = sorted(found, key=place)[:MOST_LINES]
    return {
        "declared": ", ".join(model.gate.slices),
        "margin": f"{model.gate.slice_margin or 2 * model.gate.margin:g}",
        "left_out": len(found) - len(shown),
        "rows": [
            [
                f"{one['column']} = {one['value']}",
                figure(one.get("rows")),
                figure(one.get("days")),
                figure(number(one.get("challenger"))),
                figure(number(one.get("other"))),
                gain(one["gain"]) if one.get("gain") is not None else "too little data to judge",
            ]
            for one in shown
        ],
    }


def _fairness(model: Model, evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each declared rule a sentence, and its groups."""
    return [_rule(model, rule, evidence) for rule in model.gate.fairness]


def _rule(model: Model, rule: Fairness, evidence: Mapping[str, Any]) -> dict[str, Any]:
    told = find(evidence, "fairness", column=rule.column, measure=rule.measure)
    what = MEASURES[rule.measure]
    gap, groups = part(told, "difference"), listed(told, "groups") or []
    how_much, limits = figure(number(gap.get("value"))).replace(UNKNOWN, "not known"), Gain.of(gap)
    if limits is not None:  # a difference is never below 0, only its limit is
        how_much += f" (limits {figure(max(0.0, limits.lower))} to {figure(limits.upper)})"
    allowed = "It is reported only." if rule.limit is None else f"{rule.limit:g} is allowed."
    decided = rule.measure != "group_error" and not model.data.label.multiclass
    at = f" A decision is positive from a score of {rule.threshold:g} on." if decided else ""
    heads = _heads(model, rule.measure)
    return {
        "title": f"{rule.measure.replace('_', ' ').capitalize()} of {rule.column}",
        "sentence": f"The largest difference of {what} between groups of {rule.column} is {how_much}. {allowed}{at}",
        "head": [rule.column, "rows", *heads],
        "rows": [
            [_group(one), figure(one["rows"]), *(figure(number(v)) for v in one["figures"])]
            for one in groups[:MOST_LINES]
        ],
        "left_out": max(0, len(groups) - MOST_LINES),
    }


def _group(one: Mapping[str, Any]) -> str:
    return str(one["value"]) if one.get("judged") else f"{one['value']} (too few rows to judge)"


def _heads(model: Model, measure: str) -> list[str]:
    """The names of a group's figures, in the order of `evidence.fairness`."""
    if measure == "group_error":
        return ["mean absolute error" if model.data.label.task is Task.REGRESSION else "mean log loss"]
    each = ["positive decisions"] if measure == "demographic_parity" else ["true positive rate", "false positive rate"]
    classes = model.data.label.classes
    return each if classes is None else [f"{head}, {c}" for c in classes for head in each]


# -- what it was made of


def _quality(facts: Mapping[str, Any]) -> list[str]:
    """What is known of the rows of the snapshot's days that did not get into it."""
    missing, bad = facts["snapshot"]["missing"], facts.get("quarantined")
    said = [f"Days that are missing: {', '.join(missing)}." if missing else "No day is missing."]
    if bad is None:
        said.append("How many rows of these days are in quarantine is not known.")
    elif bad["rows"]:
        on, rows = bad["worst"]
        days = f"{bad['days']} days ({rows:,} of them of {on})" if bad["days"] > 1 else on
        said.append(f"In quarantine, and not trained on: {bad['rows']:,} rows of {days}.")
    else:
        said.append("No row of these days is in quarantine.")
    return said


def _labels(model: Model, holdout: Mapping[str, Any]) -> str:
    """How the labels of the holdout lie."""
    label, mean = model.data.label, number(holdout.get("label_mean"))
    if label.classes is not None:
        shares = part(holdout, "label_shares")
        return ", ".join(f"{100 * share:.1f} % are {name!r}" for name, share in shares.items())
    if mean is None:
        return "the labels are not summarised"
    if label.task is Task.REGRESSION:
        return f"the mean {label.column} is {figure(mean)}"
    return f"{label.column} is {label.positive!r} in {100 * mean:.1f} % of them"


def _candidate(row: Mapping[str, Any], metrics: Sequence[str], chosen: str) -> list[str]:
    name = f"{row['candidate']} (chosen)" if row["candidate"] == chosen else str(row["candidate"])
    figures = [figure(number(row["metrics"].get(metric))) for metric in metrics]
    return [name, *figures, f"{row['rows']:,}", f"{row['first']} to {row['last']}"]


def _fits(model: Model, facts: Mapping[str, Any]) -> list[list[str]]:
    twin, release = facts["twin"], facts["release"]
    return [
        [
            "twin",
            "was judged; never serves",
            f"{twin['first']} to {twin['last']}",
            f"{twin['rows']:,}",
            f"{model.training.holdout_days} days before the as-of",
        ],
        [
            "release model",
            "serves; was not judged itself",
            f"{release['first']} to {release['last']}",
            f"{release['rows']:,}",
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
    # names and notes come from data and people: in Markdown they may neither break a table nor become a tag
    environment.filters["line"] = lambda text: " ".join(str(text).split())
    environment.filters["cell"] = lambda text: " ".join(str(text).split()).replace("|", "\\|")
    template = Path(__file__).with_name("card.html.j2" if page else "card.md.j2")
    return environment.from_string(template.read_text(encoding="utf-8"))
