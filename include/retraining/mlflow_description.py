"""What MLflow shows about a version, in Markdown."""

from __future__ import annotations

from include.cards.facts import Manifest
from include.gate.evaluation import BASELINE, CHAMPION, Evaluation
from include.registry import addresses, tracking
from include.settings import Settings

LONGEST_REASON = 2000
"""So that figures and links have room in what MLflow keeps; the whole reason is a tag."""


def description(made: Manifest, evaluation: Evaluation, mlflow_run_id: str) -> str:
    """What MLflow shows about a version, in Markdown: its data, the decision, the holdout, and where to look further.

    The addresses of Perennial's pages are left out if that of Airflow is not known.
    """
    sides = [("this version", evaluation.challenger.metrics)]
    sides += [(name, found.metrics) for name in (CHAMPION, BASELINE) if (found := evaluation.side(name)) is not None]
    days = evaluation.holdout
    table = [f"| metric | {' | '.join(name for name, _ in sides)} |", f"|---|{'---|' * len(sides)}"]
    for metric in evaluation.challenger.metrics:
        figures = (metrics.get(metric) for _, metrics in sides)
        table.append(f"| {metric} | {' | '.join('' if one is None else f'{one:.5g}' for one in figures)} |")
    links = [f"[model card]({tracking.artifact_url(mlflow_run_id, 'card.html')})"]
    if (airflow := Settings.from_environment().airflow_public_url) is not None:
        base = airflow.rstrip("/")
        links.append(f"[Models page]({base}{addresses.of_model(made.model)})")
        links.append(f"[card in Airflow]({base}{addresses.of_card(made.model, made.version)})")
    lines = [
        f"**{made.recipe.candidate}**, fitted on {made.release.rows:,} rows of {made.release.first} to "
        f"{made.release.last}. {made.decision.verdict.value}: {made.decision.reason[:LONGEST_REASON]}",
        f"On the holdout, {days.rows:,} rows of {days.first} to {days.last}, the twin that was fitted before it:",
        "\n".join(table),
        " · ".join(links),
        f'`mlflow.pyfunc.load_model("models:/{made.model}/<version>").predict(frame)` gives the scores of the server.',
    ]
    return "\n\n".join(lines)
