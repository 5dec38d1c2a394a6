# ruff: noqa: E501  (two templates, which are read better unbroken)
"""The model card of a version, from the facts of its manifest: Markdown, and one self-contained HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from include.spec import Model, Task

Pictures = Mapping[str, bytes]
"""SVG files by name, of `plots.draw`."""


def markdown(model: Model, facts: Mapping[str, Any]) -> str:
    """The card as Markdown. ``facts``: `package.manifest` and ``guards``, ``parity``, ``selection``."""
    return _template("markdown").render(**_view(model, facts)).strip() + "\n"


def html(model: Model, facts: Mapping[str, Any], pictures: Pictures | None = None) -> str:
    """The card as a page that needs no other file; light and dark. ``pictures`` of the holdout are shown in it."""
    inline = [base64.b64encode(svg).decode() for svg in (pictures or {}).values()]
    return _template("html").render(**_view(model, facts), pictures=inline).strip() + "\n"


def _view(model: Model, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What both templates show, put into words and rows of cells."""
    label = model.data.label
    metrics = list(next(iter(facts["compared"].values()))["metrics"])
    metrics.sort(key=lambda name: name != model.training.metric)
    twin, release, holdout = facts["twin"], facts["release"], facts["holdout"]
    if label.classes is not None:
        predicts = f"the probability of each `{label.column}`: {', '.join(map(repr, label.classes))}"
    elif label.task is Task.CLASSIFICATION:
        predicts = f"the probability that `{label.column}` is {label.positive!r}"
    else:
        predicts = f"the value of `{label.column}`"
    names = {
        "challenger": "this version (its twin)",
        "baseline": "trivial baseline",
        "champion": "champion so far (its twin)",
    }
    return {
        "model": model,
        "facts": facts,
        "predicts": predicts,
        "inputs": ", ".join(column.name for column in model.data.inputs),
        "metric": model.training.metric,
        "metrics": metrics,
        "candidates": [
            [
                r["candidate"],
                *(_number(r["metrics"].get(m)) for m in metrics),
                f"{r['rows']:,}",
                f"{r['first']} to {r['last']}",
            ]
            for r in facts["selection"]["table"]
        ],
        "compared": [
            [
                f"{names[side]}: {found.get('candidate') or found['name']}",
                *(_number(found["metrics"].get(m)) for m in metrics),
                f"up to {found['last']}",
            ]
            for side, found in facts["compared"].items()
        ],
        "fits": [
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
        ],
        "checks": [
            [
                c["name"],
                _number(c["value"]),
                _number(c["limit"]),
                {True: "passed", False: "FAILED", None: "unknown"}[c["passed"]],
                c["sentence"],
            ]
            for c in facts["decision"]["checks"]
        ],
        "holdout": holdout,
        "snapshot": facts["snapshot"],
        "recipe": ", ".join(f"{k} = {v}" for k, v in facts["recipe"].items() if v is not None),
        "packages": ", ".join(f"{k} {v}" for k, v in facts["packages"].items()),
        "commit": f"{facts['commit']}{' with changes that were not committed' if facts['dirty'] else ''}"
        if facts["commit"]
        else "no git repository",
    }


def _number(value: Any) -> str:
    """A number for a table: four decimals, a dash where it is undefined."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


@cache
def _template(kind: str) -> Template:
    page = kind == "html"
    environment = Environment(autoescape=page, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    if not page:
        environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    return environment.from_string(_HTML if page else _MARKDOWN)


_MARKDOWN = """
{% macro table(head, rows) %}
| {{ head | map("cell") | join(" | ") }} |
|{{ " --- |" * head | length }}
{% for row in rows %}
| {{ row | map("cell") | join(" | ") }} |
{% endfor %}
{% endmacro %}
# {{ model.name }}, version {{ facts.version }}

{{ model.description }}

It predicts {{ predicts }}. Owner: {{ model.owner }}. As of {{ facts.as_of }}; run `{{ facts.run_id }}`.{{ " Note: " ~ facts.note if facts.note else "" }}

**{{ facts.decision.verdict }}**: {{ facts.decision.reason }}

## Data
Snapshot `{{ snapshot.digest }}`: {{ "{:,}".format(snapshot.rows) }} rows of {{ snapshot.first }} to {{ snapshot.last }}, version {{ snapshot.table_version }} of the table `rows`.
{% if snapshot.missing %}
Days that are missing: {{ snapshot.missing | join(", ") }}.
{% endif %}
Inputs, all known before the event: {{ inputs }}.
{% if facts.release.dropped %}
Left out, because missing in every row: {{ facts.release.dropped | join(", ") }}.
{% endif %}
{% if facts.release.sampled %}
Fitted on a seeded sample of {{ "{:,}".format(facts.release.rows) }} rows (`training.max_rows`).
{% endif %}

## Candidates
Scored on the selection days {{ facts.selection.first }} to {{ facts.selection.last }}; chosen by {{ metric }}.

{{ table(["candidate"] + metrics + ["rows", "fitted on"], candidates) }}
## Two fits of one recipe
Recipe: {{ recipe }}. The figures below are the twin's. The release model has also learned from the holdout, so it has no honest figure of its own.

{{ table(["fit", "what for", "fitted on", "rows", "lag"], fits) }}
{% for sentence in facts.guards %}
- {{ sentence }}
{% endfor %}
- ONNX and scikit-learn differ by at most {{ "%.1e" | format(facts.parity) }}.

## Holdout
{{ "{:,}".format(holdout.rows) }} rows of {{ holdout.days }} days, {{ holdout.first }} to {{ holdout.last }}, that no model below has seen.

{{ table(["model"] + metrics + ["fitted"], compared) }}
## Gate
{{ table(["check", "value", "limit", "result", "in words"], checks) }}
## Make it again
Code digest `{{ facts.code_digest }}` (commit {{ commit }}); the model's folder is in `source/`, all settings are in `manifest.json`.
Python {{ facts.python }} on {{ facts.platform }}, {{ facts.cpu }}; {{ packages }}.
Run the retraining as of {{ facts.as_of }} with the recipe above on the snapshot named above.
"""

_HTML = """
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ model.name }}, version {{ facts.version }}</title>
<style>
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --paper: #fff; --fill: #f5f7f9; --good: #18794e; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #323b47; --paper: #12171e; --fill: #1a212b; --good: #4cc38a; --bad: #ff7b72; } }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); } code { font-size: .88em; overflow-wrap: anywhere; }
.verdict { border-left: 4px solid var(--good); background: var(--fill); padding: .6rem .9rem; margin: 1rem 0; } .verdict.not { border-color: var(--bad); }
img { width: 100%; max-width: 46rem; border: 1px solid var(--line); border-radius: 4px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; } th { color: var(--soft); font-weight: 600; white-space: nowrap; }
.passed { color: var(--good); } .FAILED, .unknown { color: var(--bad); font-weight: 600; }
</style></head><body>
{% macro table(head, rows) %}
<div class="wide"><table><thead><tr>{% for cell in head %}<th>{{ cell }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td{% if cell in ("passed", "FAILED", "unknown") %} class="{{ cell }}"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endmacro %}
<h1>{{ model.name }}, version {{ facts.version }}</h1>
<p>{{ model.description }}</p>
<p class="soft">It predicts {{ predicts | replace("`", "") }}. Owner: {{ model.owner }}. As of {{ facts.as_of }}; run <code>{{ facts.run_id }}</code>.{{ " Note: " ~ facts.note if facts.note else "" }}</p>
<p class="verdict{{ "" if facts.decision.verdict == "promote" else " not" }}"><strong>{{ facts.decision.verdict }}</strong>: {{ facts.decision.reason }}</p>
<h2>Data</h2>
<p>Snapshot <code>{{ snapshot.digest }}</code>: {{ "{:,}".format(snapshot.rows) }} rows of {{ snapshot.first }} to {{ snapshot.last }}, version {{ snapshot.table_version }} of the table <code>rows</code>.
{% if snapshot.missing %}Days that are missing: {{ snapshot.missing | join(", ") }}.{% endif %}</p>
<p>Inputs, all known before the event: {{ inputs }}.
{% if facts.release.dropped %}Left out, because missing in every row: {{ facts.release.dropped | join(", ") }}.{% endif %}
{% if facts.release.sampled %}Fitted on a seeded sample of {{ "{:,}".format(facts.release.rows) }} rows (training.max_rows).{% endif %}</p>
<h2>Candidates</h2>
<p>Scored on the selection days {{ facts.selection.first }} to {{ facts.selection.last }}; chosen by {{ metric }}.</p>
{{ table(["candidate"] + metrics + ["rows", "fitted on"], candidates) }}
<h2>Two fits of one recipe</h2>
<p>Recipe: {{ recipe }}. The figures below are the twin's. The release model has also learned from the holdout, so it has no honest figure of its own.</p>
{{ table(["fit", "what for", "fitted on", "rows", "lag"], fits) }}
<ul>{% for sentence in facts.guards %}<li>{{ sentence }}</li>{% endfor %}<li>ONNX and scikit-learn differ by at most {{ "%.1e" | format(facts.parity) }}.</li></ul>
<h2>Holdout</h2>
<p>{{ "{:,}".format(holdout.rows) }} rows of {{ holdout.days }} days, {{ holdout.first }} to {{ holdout.last }}, that no model below has seen.</p>
{{ table(["model"] + metrics + ["fitted"], compared) }}
{% for picture in pictures %}
<p><img alt="The holdout in a picture, {{ loop.index }} of {{ loop.length }}" src="data:image/svg+xml;base64,{{ picture }}"></p>
{% endfor %}
<h2>Gate</h2>
{{ table(["check", "value", "limit", "result", "in words"], checks) }}
<h2>Make it again</h2>
<p>Code digest <code>{{ facts.code_digest }}</code> (commit {{ commit }}); the model's folder is in <code>source/</code>, all settings are in <code>manifest.json</code>.</p>
<p>Python {{ facts.python }} on {{ facts.platform }}, {{ facts.cpu }}; {{ packages }}.</p>
<p>Run the retraining as of {{ facts.as_of }} with the recipe above on the snapshot named above.</p>
</body></html>
"""
