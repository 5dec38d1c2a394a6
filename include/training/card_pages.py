# ruff: noqa: E501  (two templates, which are read better unbroken)
"""The two templates of the model card: Markdown, and a page that needs no other file; `card` fills them."""

MARKDOWN = """
{% macro table(head, rows) %}
| {{ head | map("cell") | join(" | ") }} |
|{{ " --- |" * head | length }}
{% for row in rows %}
| {{ row | map("cell") | join(" | ") }} |
{% endfor %}
{% endmacro %}
# {{ model.name }}, version {{ facts.version }}

{{ model.description | line }}

It predicts {{ predicts }}. Owner: {{ model.owner | line }}. As of {{ facts.as_of }}; run `{{ facts.run_id }}`.{{ (" Note: " ~ facts.note) | line if facts.note else "" }}

**{{ facts.decision.verdict }}**: {{ facts.decision.reason | line }}

## Intended use
{{ model.intended_use | line or "Nobody has written down what it is meant for (`intended_use` in model.py)." }}

{% if model.limitations %}
**Known limits.** {{ model.limitations | line }}

{% endif %}
## How good it is
Measured on {{ "{:,}".format(holdout.rows) }} rows of {{ holdout.days }} days, {{ holdout.first }} to {{ holdout.last }}, that no model below has seen; {{ labels }}. The figures are those of the twins (see below): they are the promise, not the measured quality of what serves.

{{ table(compared.head, compared.rows) }}
In brackets behind a figure: its {{ interval }} interval over whole days, of each model by itself{{ " (a calibration error has none: days drawn twice would make it look larger)" if "calibration_error" in metrics else "" }}. A gain above 0 means better; both models saw the same days, and each of its limits is {{ sure }} sure.

## The challenge
{% for sentence in challenge %}
{{ sentence | line }}
{% endfor %}

{% if anchors %}
Champions of earlier nights on the same days, in {{ metric }}:

{{ table(["champion of", "who", "fitted", "its " ~ metric, "gain over it"], anchors) }}
{% endif %}
## Gate
{{ table(["check", "value", "limit", "result", "in words"], checks) }}
{% if slices.declared %}
## Slices
{% if slices.rows %}
{{ metric }} by the values of {{ slices.declared }}, the worst first; {{ slices.margin }} worse is allowed, and only what is surely worse is rejected.{{ " Left out: %d more." % slices.left_out if slices.left_out else "" }}

{{ table(["value", "rows", "days", "this version", "champion so far", "gain"], slices.rows) }}
{% else %}
The values of {{ slices.declared }} were not compared: there is no champion to compare with.

{% endif %}
{% endif %}
{% if fairness %}
## Fairness
{% for rule in fairness %}
**{{ rule.title }}.** {{ rule.sentence }}{{ " Left out: %d smaller groups." % rule.left_out if rule.left_out else "" }}

{% if rule.rows %}
{{ table(rule.head, rule.rows) }}
{% endif %}
{% endfor %}
{% endif %}
## Data
Snapshot `{{ snapshot.digest }}`: {{ "{:,}".format(snapshot.rows) }} rows of {{ snapshot.first }} to {{ snapshot.last }}, version {{ snapshot.table_version }} of the table `rows`. {{ quality | join(" ") }}

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
Recipe: {{ recipe }}. The figures of this card are the twin's. The release model has also learned from the holdout, so it has no honest figure of its own.

{{ table(["fit", "what for", "fitted on", "rows", "lag"], fits) }}
{% for sentence in facts.guards %}
- {{ sentence | line }}
{% endfor %}
- ONNX and scikit-learn differ by at most {{ "%.1e" | format(facts.parity) }}.

## Make it again
1. Code: digest `{{ facts.code_digest }}`, commit {{ commit }}. The model's folder is in `source/` of this bundle, all settings are in `manifest.json`.
2. Rows: the file `{{ snapshot.path }}` of the model's lake, named by the digest of its values.
3. Trigger `{{ model.name }}_retrain` with `{{ parameters }}`. It is about the same rows if its snapshot has the digest above.
4. Compare the SHA-256 of `model.onnx` with `SHA256SUMS` of this bundle: the same bytes on the same kind of processor with the same packages, else scores that differ by up to {{ "%g" | format(model.release.parity) }}.

Python {{ facts.python }} on {{ facts.platform }}, {{ facts.cpu }}; {{ packages }}.
"""

HTML = """
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ model.name }}, version {{ facts.version }}</title>
<style>
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --paper: #fff; --fill: #f5f7f9; --good: #18794e; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #323b47; --paper: #12171e; --fill: #1a212b; --good: #4cc38a; --bad: #ff7b72; } }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.4rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; } h3 { font-size: .95rem; margin: 1.4rem 0 .3rem; }
p, ol, ul { margin: .4rem 0; max-width: 52rem; } ol, ul { padding-left: 1.3rem; } .soft { color: var(--soft); } code { font-size: .88em; overflow-wrap: anywhere; }
.verdict { border-left: 4px solid var(--good); background: var(--fill); padding: .6rem .9rem; margin: 1rem 0; max-width: none; } .verdict.not { border-color: var(--bad); }
img { display: block; width: 100%; max-width: 46rem; margin: .9rem 0; border: 1px solid var(--line); border-radius: 4px; background: #fff; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .92em; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
td.n, th.n { text-align: right; } td.n, td.s { white-space: nowrap; } td.n + td:not(.n), th.n + th:not(.n) { padding-left: .7rem; }
.passed { color: var(--good); } .FAILED, .unknown { color: var(--bad); font-weight: 600; }
</style></head><body>
{% macro stacked(cell) %}{% set figure, bracket, interval = cell.partition(" (") %}{{ figure }}{% if bracket %}<br><span class="soft"> ({{ interval }}</span>{% endif %}{% endmacro %}
{% macro table(head, rows, numbers=(), stack=false) %}
<div class="wide"><table><thead><tr>{% for cell in head %}<th{% if loop.index0 in numbers %} class="n"{% endif %}>{{ cell }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td{% if loop.index0 in numbers %} class="n"{% elif cell in ("passed", "FAILED", "unknown") %} class="{{ cell }}"{% elif cell | length < 26 %} class="s"{% endif %}>{% if stack and loop.index0 in numbers %}{{ stacked(cell) }}{% else %}{{ cell }}{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endmacro %}
{% macro picture(name, alt) %}
{% if name in pictures %}<img alt="{{ alt }}" src="data:image/svg+xml;base64,{{ pictures[name] }}">
{% endif %}
{% endmacro %}
<h1>{{ model.name }}, version {{ facts.version }}</h1>
<p>{{ model.description }}</p>
<p class="soft">It predicts {{ predicts | replace("`", "") }}. Owner: {{ model.owner }}. As of {{ facts.as_of }}; run <code>{{ facts.run_id }}</code>.{{ " Note: " ~ facts.note if facts.note else "" }}</p>
<p class="verdict{{ "" if facts.decision.verdict == "promote" else " not" }}"><strong>{{ facts.decision.verdict }}</strong>: {{ facts.decision.reason }}</p>
<h2>Intended use</h2>
<p>{{ model.intended_use or "Nobody has written down what it is meant for (intended_use in model.py)." }}</p>
{% if model.limitations %}<p><strong>Known limits.</strong> {{ model.limitations }}</p>
{% endif %}
<h2>How good it is</h2>
<p>Measured on {{ "{:,}".format(holdout.rows) }} rows of {{ holdout.days }} days, {{ holdout.first }} to {{ holdout.last }}, that no model below has seen; {{ labels }}. The figures are those of the twins (see below): they are the promise, not the measured quality of what serves.</p>
{{ table(compared.head, compared.rows, range(1, compared.head | length), true) }}
<p class="soft">In brackets behind a figure: its {{ interval }} interval over whole days, of each model by itself{{ " (a calibration error has none: days drawn twice would make it look larger)" if "calibration_error" in metrics else "" }}. A gain above 0 means better; both models saw the same days, and each of its limits is {{ sure }} sure.</p>
{{ picture("difference", "How much better the challenger is, by day, with limits and margin") }}
{{ picture("by_day", "The metric of each model by day") }}
{{ picture("confusion", "What is taken for what") }}
{{ picture("ranking", "ROC curves of challenger and champion") }}
{{ picture("calibration", "What happens where a probability is said") }}
{{ picture("predicted", "Predicted against actual values") }}
{{ picture("residuals", "Errors by predicted value") }}
<h2>The challenge</h2>
{% for sentence in challenge %}<p>{{ sentence }}</p>
{% endfor %}
{% if anchors %}<p>Champions of earlier nights on the same days, in {{ metric }}:</p>
{{ table(["champion of", "who", "fitted", "its " ~ metric, "gain over it"], anchors, (3, 4)) }}
{% endif %}
<h2>Gate</h2>
{{ table(["check", "value", "limit", "result", "in words"], checks, (1, 2)) }}
{% if slices.declared %}
<h2>Slices</h2>
{% if slices.rows %}
<p>{{ metric }} by the values of {{ slices.declared }}, the worst first; {{ slices.margin }} worse is allowed, and only what is surely worse is rejected.{{ " Left out: %d more." % slices.left_out if slices.left_out else "" }}</p>
{{ picture("slices", "The gain over the champion by slice, with limits and margin") }}
{{ table(["value", "rows", "days", "this version", "champion so far", "gain"], slices.rows, (1, 2, 3, 4, 5)) }}
{% else %}<p>The values of {{ slices.declared }} were not compared: there is no champion to compare with.</p>
{% endif %}
{% endif %}
{% if fairness %}
<h2>Fairness</h2>
{% for rule in fairness %}<h3>{{ rule.title }}</h3>
<p>{{ rule.sentence }}{{ " Left out: %d smaller groups." % rule.left_out if rule.left_out else "" }}</p>
{% if rule.rows %}{{ table(rule.head, rule.rows, range(1, rule.head | length)) }}
{% endif %}
{% endfor %}
{% endif %}
<h2>Data</h2>
<p>Snapshot <code>{{ snapshot.digest }}</code>: {{ "{:,}".format(snapshot.rows) }} rows of {{ snapshot.first }} to {{ snapshot.last }}, version {{ snapshot.table_version }} of the table <code>rows</code>. {{ quality | join(" ") }}</p>
<p>Inputs, all known before the event: {{ inputs }}.
{% if facts.release.dropped %}Left out, because missing in every row: {{ facts.release.dropped | join(", ") }}.{% endif %}
{% if facts.release.sampled %}Fitted on a seeded sample of {{ "{:,}".format(facts.release.rows) }} rows (training.max_rows).{% endif %}</p>
<h2>Candidates</h2>
<p>Scored on the selection days {{ facts.selection.first }} to {{ facts.selection.last }}; chosen by {{ metric }}.</p>
{{ table(["candidate"] + metrics + ["rows", "fitted on"], candidates, range(1, metrics | length + 2)) }}
<h2>Two fits of one recipe</h2>
<p>Recipe: {{ recipe }}. The figures of this card are the twin's. The release model has also learned from the holdout, so it has no honest figure of its own.</p>
{{ table(["fit", "what for", "fitted on", "rows", "lag"], fits, (3,)) }}
<ul>{% for sentence in facts.guards %}<li>{{ sentence }}</li>{% endfor %}<li>ONNX and scikit-learn differ by at most {{ "%.1e" | format(facts.parity) }}.</li></ul>
<h2>Make it again</h2>
<ol>
<li>Code: digest <code>{{ facts.code_digest }}</code>, commit {{ commit }}. The model's folder is in <code>source/</code> of this bundle, all settings are in <code>manifest.json</code>.</li>
<li>Rows: the file <code>{{ snapshot.path }}</code> of the model's lake, named by the digest of its values.</li>
<li>Trigger <code>{{ model.name }}_retrain</code> with <code>{{ parameters }}</code>. It is about the same rows if its snapshot has the digest above.</li>
<li>Compare the SHA-256 of <code>model.onnx</code> with <code>SHA256SUMS</code> of this bundle: the same bytes on the same kind of processor with the same packages, else scores that differ by up to {{ "%g" | format(model.release.parity) }}.</li>
</ol>
<p class="soft">Python {{ facts.python }} on {{ facts.platform }}, {{ facts.cpu }}; {{ packages }}.</p>
</body></html>
"""
