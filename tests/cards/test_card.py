"""The model card shows all evidence of the gate, shows no number for an undefined value, and loads nothing else."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

from include import catalog
from include.backtest.lab import Lab
from include.cards import card, plots
from include.cards.facts import Facts
from include.gate import decision as gate
from include.gate.checks import Check
from include.gate.evaluation import Estimate, Evaluation
from include.partitions import keys_between, partition
from include.retraining import decide, evaluate, package
from include.spec import Fairness, Floor, Model
from include.training import measures
from tests.training import chain_models, toy_days

BEFORE, AS_OF = "2026-05-11", "2026-05-13"
FIRST = {"toy": "2026-04-09", "toy_classes": "2026-04-17", "toy_counts": "2026-04-17"}
CANDIDATES = {"toy": "logistic", "toy_classes": "logistic", "toy_counts": "boosting"}
LIMITS: dict[str, dict[str, Any]] = {
    "toy": {
        "slices": ("shop",),
        "floors": (Floor(metric="roc_auc", limit=0.55),),
        "fairness": (
            Fairness(column="shop", measure="demographic_parity", threshold=0.3),
            Fairness(column="express", measure="group_error", limit=0.5),
        ),
    },
    "toy_classes": {
        "min_class_rows": 50,
        "slices": ("shop",),
        "fairness": (Fairness(column="shop", measure="equalized_odds"),),
    },
    "toy_counts": {"slices": ("station",), "fairness": (Fairness(column="station", measure="group_error", limit=9.0),)},
}
Made = tuple[Model, Facts, dict[str, bytes]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, bool], Made]]:
    """Facts and pictures of each model, with and without a champion, from real fits on days of a real lake."""
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        patch.setattr(package, "_commit", lambda: ("0" * 40, False))
        found = {}
        for name in CANDIDATES:
            lab = Lab(with_all_checks(catalog.load(name)), tmp_path_factory.mktemp("lab"))
            fill(lab)
            champion = lab.night(BEFORE, candidates=["baseline", CANDIDATES[name]]).champion(1)
            for standing in (None, champion):
                found[name, standing is not None] = of_night(lab, standing)
        yield found


def fill(lab: Lab) -> None:
    """Publish the days that the nights need; one day of the toy has rows in quarantine."""
    model, lake = lab.model, lab.lake
    fetch = catalog.module(model.name, "source").fetch
    toy_days.publish_days(
        lake,
        model,
        {
            key: toy_days.day(model, key) if model.name == "toy" else fetch(partition(key, model.timezone), {})
            for key in keys_between(FIRST[model.name], AS_OF)
        },
    )
    if model.name == "toy":
        bad = pd.DataFrame({"_expectation": ["x between"] * 3, "_column": ["x"] * 3, "_key": ["1", "2", "3"]})
        lake.quarantine(partition("2026-04-20", model.timezone), bad.assign(_row="{}"), "b" * 64)


def with_all_checks(model: Model) -> Model:
    """Return the model with every kind of check that its gate can make."""
    gate = model.gate.model_copy(update=LIMITS[model.name])
    texts = {"intended_use": "Trying out cards.", "limitations": "The shops are made up."}
    return model.model_copy(update={"gate": gate, **texts})


def of_night(lab: Lab, champion: Any) -> Made:
    """Return what `package` puts on the card, without ledger and MLflow."""
    night = lab.night(AS_OF, champion, candidates=["baseline", CANDIDATES[lab.model.name]])
    model, plan, measuring = lab.model, night.plan, night.steps.measuring
    holdout, scores = measuring.holdout, measuring.measured.scores
    evaluated = night.evaluation.replace(intervals=evaluate.intervals_of(model, holdout, scores))
    by_day = {side: measures.by_day(model, holdout.rows, found) for side, found in scores.items()}
    pictures = plots.draw(model, holdout.labels, scores, by_day, evaluated)
    decided = gate.decide(model, evaluated)
    chosen = night.chosen.replace(twin=night.chosen.twin.replace(digest="d" * 64))
    manifest = package.manifest(model, plan, chosen, evaluated, decided, night.twin, 2, "manual__card")
    return model, package.card_facts(manifest, plan, chosen, evaluated, ("a guard",), 1e-7), pictures


def page_of(made: Made) -> str:
    """Return the page with all pictures."""
    model, facts, pictures = made
    return card.html(model, facts, {name.removesuffix(".svg"): svg for name, svg in pictures.items()})


class Text(HTMLParser):
    """The text of a page and the addresses that a browser would load; fails on a tag that is not closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.loads += [str(value) for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


EVERY = [(name, champion) for name in CANDIDATES for champion in (False, True)]
each = pytest.mark.parametrize(("name", "champion"), EVERY, ids=lambda value: str(value))


@each
def test_both_pages_show_all_evidence_of_the_gate(
    made: dict[tuple[str, bool], Made], name: str, champion: bool
) -> None:
    model, facts, _ = made[name, champion]
    page, plain = Text(page_of(made[name, champion])).text, html.unescape(card.markdown(model, facts))
    manifest, evidence = facts.manifest, facts.evaluation
    checks = manifest.decision.checks
    assert len(checks) > 10
    rows = [line for line in plain.splitlines() if line.startswith("| ")]
    for check in checks:
        assert check.sentence in page and f" {check.name} " in page
        row = next(line for line in rows if line.startswith(f"| {check.name} |"))
        assert check.sentence.replace("|", "\\|") in row and check.result in row
    for text in (page, plain):
        for wanted in (
            model.owner, model.intended_use, model.limitations, manifest.decision.reason, manifest.code_digest,
            manifest.snapshot.digest, manifest.snapshot.path, manifest.twin.first, manifest.release.last,
            f"{manifest.snapshot.rows:,}", f"{manifest.holdout.rows:,}", "a guard", "1.0e-07", CANDIDATES[name],
            json.dumps(facts.parameters.as_dict()),
            "not trained on: 3 rows of 2026-04-20" if name == "toy" else "No row",
        ):  # fmt: skip
            assert str(wanted) in text, wanted
        of_challenger = (evidence.intervals or {})["challenger"]
        assert len(known := {m: pair for m, pair in of_challenger.items() if pair}) >= 5
        for metric, (low, high) in known.items():
            value = evidence.challenger.metrics[metric]
            assert value is not None and low < value < high, metric
            assert f"{card.figure(value)} ({card.figure(low)} to {card.figure(high)})" in text, metric
        side = "champion" if champion else "baseline"
        for metric, gain in evidence.paired[side].items():
            assert card.gain(gain) in text and "(" in card.gain(gain), metric
        for rule in evidence.fairness or ():
            assert ("It is reported only" if rule.limit is None else f"{rule.limit:g} is allowed") in text
            assert all(f" {one.value} " in text for one in rule.groups)
        assert ("champion so far" in text) == champion
        assert ("A refresh: the recipe of the champion" if champion else "The first of this model") in text
        for one in evidence.slices or ():
            assert f"{one.column} = {one.value}" in text
        assert champion == bool(evidence.slices) == ("there is no champion to compare with" not in text)


def test_a_baseline_check_in_another_metric_is_said_and_comes_second(made: dict[tuple[str, bool], Made]) -> None:
    """A decision quotes this metric, so that the table must not seem to be about something else."""
    model, facts, _ = made["toy", True]
    same = "The gate compares it with the champion and with the trivial baseline in log_loss."
    assert same in card.html(model, facts)
    other = model.model_copy(update={"gate": model.gate.model_copy(update={"baseline_metric": "brier"})})
    said = "The gate compares it with the champion in log_loss, and with the trivial baseline in brier."
    assert said in card.html(other, facts) and said in card.markdown(other, facts)
    lines = [line for line in card.markdown(other, facts).splitlines() if "is better) |" in line]
    assert [line.split()[1] for line in lines[:2]] == ["log_loss", "brier"]


@each
def test_the_page_loads_nothing_else(made: dict[tuple[str, bool], Made], name: str, champion: bool) -> None:
    page = page_of(made[name, champion])
    loads = Text(page).loads
    assert loads and all(one.startswith("data:image/svg+xml;base64,") for one in loads)
    assert not re.search(r"https?:|//\w|<script|<link|@import|url\(", page)
    wanted = {f"{picture}.svg" for picture in plots.TELLING} & set(made[name, champion][2])
    assert len(loads) == len(wanted) and ("slices.svg" in wanted) == champion


def walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield every leaf of nested dicts and lists."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from walk(inner, (*path, key))
    else:
        yield path, value


def without_numbers(facts: Facts) -> Facts:
    """Return the facts with every measured number undefined, as after a holdout with one class and one day."""
    document = facts.as_dict()
    evaluation, manifest = document["evaluation"], document["manifest"]
    for part in ("metrics", "paired", "slices", "fairness"):
        for path, value in walk(evaluation):
            known = path[-1] in ("rows", "days", "limit", "blocks") or isinstance(value, (str, bool))
            if part in path and not known:
                inner: Any = evaluation
                for key in path[:-1]:
                    inner = inner[key]
                inner[path[-1]] = None
    for side in evaluation["intervals"].values():
        side.update(dict.fromkeys(side))
    for side in manifest["compared"].values():
        side["metrics"] = dict.fromkeys(side["metrics"])
    for row in document["selection"]["table"]:
        row["metrics"] = dict.fromkeys(row["metrics"])
    for check in manifest["decision"]["checks"]:
        check |= {"value": None, "passed": None, "sentence": "It is not known."}
    return Facts.of(document)


@each
def test_an_undefined_value_is_never_shown_as_a_number(
    made: dict[tuple[str, bool], Made], name: str, champion: bool
) -> None:
    model, facts, _ = made[name, champion]
    bare = without_numbers(facts)
    for text in (Text(card.html(model, bare)).text, html.unescape(card.markdown(model, bare))):
        assert not re.search(r"\b(nan|None|inf)\b", text)
        assert "passed" not in text.split("Gate")[1].split("Slices")[0] and "HOLD" in text
        for metric in facts.evaluation.challenger.metrics:
            for value in (facts.evaluation.intervals or {})["challenger"][metric] or ():
                assert card.figure(value) not in text
    lines = card.markdown(model, bare).splitlines()
    metrics = [line for line in lines if "is better) |" in line]
    assert len(metrics) == len(facts.evaluation.challenger.metrics)
    for line in metrics:
        assert set(line.strip("| ").split(" | ")[1:]) == {card.UNKNOWN}, line


def test_figures_are_short_and_never_invented() -> None:
    shown = {
        None: "\N{EN DASH}", float("nan"): "\N{EN DASH}", float("inf"): "\N{EN DASH}", 0.0: "0", 0.02: "0.0200",
        1e-6: "1e-06", -0.00034: "-0.00034", 36.127: "36.13", 12345.6: "12,346", 14: "14", "finite": "finite",
    }  # fmt: skip
    assert {value: card.figure(value) for value in shown} == shown
    unknown = Estimate(value=None, error=None, lower=None, upper=None)
    assert card.gain(None) == card.UNKNOWN == card.gain(unknown)
    assert card.gain(unknown.replace(value=0.01)) == "+0.0100 (limits unknown)"


def test_missing_evidence_is_not_an_error(made: dict[tuple[str, bool], Made]) -> None:
    """A card shows what was measured. Values that an older evaluation does not have are shown as unknown."""
    model, facts, _ = made["toy", True]
    document = facts.as_dict()
    document["quarantined"] = None
    optional = [name for name, field in Evaluation.model_fields.items() if not field.is_required()]
    assert {"intervals", "anchors", "change", "kind", "slices", "fairness", "paired"} < set(optional)
    for name in optional:
        document["evaluation"].pop(name, None)
        fewer = Facts.of(document)
        assert "in quarantine is not known" in card.markdown(model, fewer)
        Text(card.html(model, fewer))
    assert "It is not recorded whether" in card.markdown(model, fewer)


def test_anchors_and_the_challenge_of_another_recipe(made: dict[tuple[str, bool], Made]) -> None:
    model, facts, _ = made["toy", True]
    mine = facts.evaluation.metric("challenger", "log_loss")
    assert mine is not None
    anchors = [
        {"nights_ago": 7, "version": 3, "name": "champion version 3", "last": "2026-04-20", "rows": 9, "error": None,
         "value": mine + 0.0125},
        {"nights_ago": 28, "version": 1, "name": "champion version 1", "last": None, "rows": None,
         "error": "its twin is gone", "value": None},
    ]  # fmt: skip
    gain = {"value": 0.02, "error": 0.005, "lower": 0.01, "upper": 0.03}
    change = {"incumbent": "logistic", "rival": "boosting", "days": 17, "wanted": 28, "gain": gain}
    for kind, sentence in (
        ("change", "A change: another recipe than the champion's"),
        ("refresh", "Meanwhile another recipe is observed"),
    ):
        evidence = {**facts.evaluation.as_dict(), "anchors": anchors, "change": change, "kind": kind}
        text = card.markdown(model, facts.replace(evaluation=Evaluation.of(evidence)))
        assert sentence in text and "17 of 28 days" in text and "boosting against logistic: gain +0.0200" in text
        assert re.search(r"7 nights ago \| champion version 3 \| up to 2026-04-20 \| \S+ \| \+0.0125 \|", text)
        assert "28 nights ago | champion version 1 | \N{EN DASH} | not scored: its twin is gone" in text


def test_texts_of_people_and_data_are_escaped(made: dict[tuple[str, bool], Made]) -> None:
    model, facts, pictures = made["toy", True]
    evil = "</p><script>alert('1')</script> a | b\n# c"
    document = facts.as_dict()
    document["manifest"]["note"] = evil
    document["evaluation"]["slices"][0]["value"] = evil
    document["evaluation"]["fairness"][0]["groups"][0]["value"] = evil
    document["manifest"]["decision"]["checks"][0]["sentence"] = document["guards"][0] = evil
    bad = Facts.of(document)
    hostile = model.model_copy(update={"description": evil, "owner": evil, "intended_use": evil, "limitations": evil})
    page = page_of((hostile, bad, pictures))
    assert "<script" not in page and Text(page).text.count("alert('1')") == 9
    plain = card.markdown(hostile, bad)
    assert "<" not in plain.replace("&lt;", "") and not re.search(r"^# c", plain, re.M)
    width = {
        line.replace("\\|", "").count("|") for line in plain.split("## Gate")[1].split("##")[0].splitlines() if line
    }
    assert width == {6}, "every row of the table keeps its cells"


# -- the log, the note and MLflow


def test_the_log_is_a_table_with_the_worst_first() -> None:
    checks = [
        Check("days", 14, 10, True, "Enough\ndays."),
        Check("anchors", None, -0.01, None, "It is unknown."),
        Check("slices", -0.1, 0.0, False, "Not sure."),
        Check("not worse than the champion", -0.031234, -0.02, False, "Worse.", "reject"),
        Check("scores", "finite", "finite", True, "Finite."),
    ]
    head, *lines = decide.table(checks)
    assert head.split() == ["result", "check", "value", "limit"]
    assert [line.split()[0] for line in lines[::2]] == ["REJECT", "HOLD", "HOLD", "passed", "passed"]
    assert " ".join(lines[0].split()) == "REJECT not worse than the champion -0.0312 -0.0200"
    assert {len(line) for line in lines[::2]} == {len(head)}, "the columns are aligned"
    assert [line.strip() for line in lines[1::2]] == [
        "Worse.",
        "It is unknown.",
        "Not sure.",
        "Enough days.",
        "Finite.",
    ]
    assert decide.metrics(checks) == {
        "gate.days": 14.0, "gate.days.limit": 10.0, "gate.anchors.limit": -0.01,
        "gate.slices": -0.1, "gate.slices.limit": 0.0,
        "gate.not_worse_than_the_champion": -0.031234, "gate.not_worse_than_the_champion.limit": -0.02,
    }  # fmt: skip


def test_the_log_fits_on_the_page_and_keeps_every_word() -> None:
    sentence = "The slice of Kraków-Balice has fewer rows than the others, "
    checks = [
        Check(f"not worse in {'a very long name ' * 5}", "v" * 90, "l" * 90, False, sentence * 8, "reject"),
        Check("days", 14, 10, True, f"See {'x' * 200}."),
    ]
    lines = decide.table(checks)
    assert max(len(line) for line in lines if "xxx" not in line) <= decide.WIDTH
    assert " ".join(" ".join(lines).split()).count(sentence.strip()) == 8 and "x" * 200 in "".join(lines)


def test_the_note_is_one_short_line() -> None:
    short = gate.Decision(verdict=gate.Verdict.REJECT, reason="It is worse:\n  much.", checks=())
    assert decide.note(short, 7, "boosting") == "REJECTED v7 (boosting): It is worse: much."
    wordy = gate.Decision(verdict=gate.Verdict.HOLD, reason="one two three. " * 200, checks=())
    long = decide.note(wordy, 7, "boosting")
    assert len(long) <= decide.LONGEST_NOTE and long.startswith("HELD v7 (boosting): ") and "\n" not in long
    assert re.search(r"(one|two|three\.) \.\.\. \(all of it is in the log of `gate`\)$", long)
