"""Rules for mistakes that are not typing errors: leaks, wrong shapes, randomness, what training would refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.linting.folder import lint
from include.mistakes.problem import Problem
from include.settings import PROJECT
from tests.linting.judge import copy

TOY = PROJECT / "tests" / "models_for_tests" / "toy"
RETURN = '    return {"shop": columns["shop"], **numbers, "hour": hour.astype(np.float32)}\n'
BOOSTING = '"boosting": Candidate(_boosted())'


def changed(root: Path, file: str, old: str, new: str) -> tuple[list[Problem], Path]:
    folder = copy(TOY, root / "toy")
    path = folder / f"{file}.py"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return lint("toy", folder), path


@pytest.mark.parametrize(
    ("file", "old", "new", "marked", "message"),
    [
        ("features", RETURN, f'    columns["minutes"]\n{RETURN}', 'columns["minutes"]', "it would leak the label"),
        (
            "features",
            RETURN,
            f'    if len(at) == 7:\n        columns.get("late")\n{RETURN}',
            '"late"',
            "leak the label",
        ),
        ("features", RETURN, RETURN.replace("**numbers", "**numbers, **columns"), "def build", "feature 'at'"),
        ("features", '"hour": hour.', '"hour": hour[:, None].', '"hour": hour', "of shape (48, 1) for 48 rows"),
        ("features", RETURN, "    return list(columns)\n", "def build", "returns list"),
        (
            "features",
            RETURN,
            RETURN.replace("hour.as", "(hour + np.random.rand(len(at))).as"),
            '"hour"',
            "is another one",
        ),
        ("features", RETURN, f"    at[0]\n{RETURN}", "at[0]", "given a batch of no rows"),
        (
            "features",
            RETURN,
            RETURN.replace("**numbers", '**numbers, "spare": hour'),
            '"spare"',
            "no candidate takes it",
        ),
        ("features", "import numpy as np\n", "import numpy as np\nimport pandas as pd\n", "import pandas", "use numpy"),
        ("candidates", ", baseline=True", "", '"baseline": Cand', "declares no baseline"),
        ("candidates", BOOSTING, '"boosting": Candidate("hist")', '"boosting": Cand', "not a scikit-learn estimator"),
        ("candidates", BOOSTING, '"boosting": Candidate(_boosted(), window_days=0)', "window_days=0", "or more"),
        ("candidates", "max_leaf_nodes=8", "max_leaf_nodes=1", "max_leaf_nodes=1", "'max_leaf_nodes' parameter"),
        (
            "candidates",
            'OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)',
            '__import__("sklearn.preprocessing").preprocessing.TargetEncoder(\n        target_type="multiclass")',
            'target_type="multiclass"',
            "write target_type='binary'",
        ),
        ("candidates", "return {", "return {} and {", "def candidates", "at least two"),
        ("expectations", "return [", "return ['x > 1',", "'x > 1'", "among its expectations"),
        ("expectations", "return [", "return 7 or [", "def suite", "returns int"),
        (
            "model",
            "from datetime import date\n",
            "from datetime import date\nimport pandas\n",
            "import pandas",
            "scheduler",
        ),
        ("model", "max_quarantined=0.2", 'schedule="0 7 * * *"', "training=", "data.schedule collects at 07:00 only"),
        ("model", "positive=1", 'delay="PT3H"', "training=", "Let data.schedule be at 04:00 or later"),
        ("model", 'event_time="at"', 'event_time="shop"', 'name="shop"', "must be of type timestamp"),
        ("model", "TIMESTAMP, nullable=False", "TIMESTAMP", 'name="at"', "declare it nullable=False"),
        (
            "model",
            "TIMESTAMP, nullable=False",
            "TIMESTAMP, nullable=False, known=Known.AFTER",
            'name="at"',
            'declare it known="before"',
        ),
        ("model", "positive=1", 'positive="yes"', 'positive="yes"', "cannot be a value of 'late'"),
        (
            "source",
            "from include.partitions import",
            "from include.data.lake import",
            "include.data.lake",
            "models may not import",
        ),
    ],
)
def test_a_rule_reports_at_its_line(tmp_path: Path, file: str, old: str, new: str, marked: str, message: str) -> None:
    problems, path = changed(tmp_path, file, old, new)
    line = path.read_text()[: path.read_text().index(marked)].count("\n") + 1
    assert any(p.place.line == line and p.place.file == path and message in p.sentence for p in problems), (
        f"line {line}: {[str(p) for p in problems]}"
    )


def test_a_function_that_takes_plain_strings_only_is_not_a_mistake(tmp_path: Path) -> None:
    """On Python 3.11, `Path.with_name` is one; a call that is wrong in another way is still reported, once."""
    imports = "from datetime import date\n"
    used = f'import sys\n{imports}from pathlib import Path\n\nBESIDE = Path(__file__).with_name("notes.txt")\n'
    problems, _ = changed(tmp_path, "model", imports, f'{used}DEPOT = sys.intern("depot")\n')
    assert [str(problem) for problem in problems if problem.severity == "error"] == []
    problems, _ = changed(tmp_path, "model", imports, f'{imports}NUMBER = abs("depot")\n')
    assert ["abs(): 'str'" in str(problem) for problem in problems if problem.severity == "error"] == [True]


SELECTING = """from sklearn.feature_selection import SelectFromModel, SelectKBest
from sklearn.linear_model import LogisticRegression


def candidates() -> dict[str, Candidate]:
    columns = make_column_transformer((SimpleImputer(), NUMBERS))
    return {
        "baseline": Candidate(DummyRegressor(strategy="median"), baseline=True),
        "tested": Candidate(make_pipeline(columns, SelectKBest(k=2), Ridge())),
        "chosen": Candidate(make_pipeline(columns, SelectFromModel(LogisticRegression()), Ridge())),
        "right": Candidate(make_pipeline(columns, Ridge())),
    }


def _unused() -> None:
"""


def test_an_estimator_for_classes_is_found_in_a_regression(tmp_path: Path) -> None:
    folder = copy(PROJECT / "include" / "models" / "bike_demand", tmp_path / "bike_demand")
    path = folder / "candidates.py"
    before, _, rest = path.read_text().partition("def candidates() -> dict[str, Candidate]:\n")
    path.write_text(before + SELECTING + rest)
    errors = {(p.place.line, p.what) for p in lint("bike_demand", folder, fit=False) if p.severity == "error"}
    lines = path.read_text().split("\n")
    found = {lines[line - 1].strip().split('"')[1]: what for line, what in errors}
    assert found == {
        "tested": "SelectKBest tests features by f_classif, which is for classes: each distinct value of the label "
        "would be one",
        "chosen": "LogisticRegression learns classes: each distinct value of the label would be one",
    }


GUESSING = """from skl2onnx import update_registered_converter
from sklearn.dummy import DummyClassifier


class Guessing(Ridge):
    def fit(self, X, y):
        self.inside_ = DummyClassifier().fit(X, y)
        return super().fit(X, y)


def _shape(operator):
    pass


def _convert(scope, operator, container):
    pass


update_registered_converter(Guessing, "Guessing", _shape, _convert)


def candidates() ->"""


def test_a_candidate_that_fits_classes_in_a_regression_is_found_by_its_fit(tmp_path: Path) -> None:
    """The estimator is defined in the folder, so no list knows it. It also cannot be stored; both are reported."""
    folder = copy(PROJECT / "include" / "models" / "bike_demand", tmp_path / "bike_demand")
    path = folder / "candidates.py"
    text = path.read_text().replace("def candidates() ->", GUESSING)
    path.write_text(text.replace("        Ridge(alpha=1.0),\n", "        Guessing(alpha=1.0),\n"))
    reported = [(p.what, p.severity) for p in lint("bike_demand", folder)]
    assert len(reported) == 2 and {severity for _, severity in reported} == {"error"}
    assert reported[0][0].startswith("candidate 'ridge_28d' cannot be stored")
    assert reported[1][0] == "candidate 'ridge_28d': DummyClassifier took 48 distinct values of the label for classes"


IMPORT = "from include.models.bike_demand.model import MODEL\n"


@pytest.mark.parametrize(
    ("old", "new", "marked"),
    [
        ("owner=", "ownr=", "ownr="),
        ('timezone="', 'timezone="X', 'timezone="X'),
        ("MODEL = Model", "MODL = Model", "MODL ="),
        ("MODEL = Model", "1 / 0\nMODEL = Model", "1 / 0"),
        ("MODEL = Model", "MODEL = = Model", "= = Model"),
        ("from include.spec", "from include.spcc", "include.spcc"),
        ('event_time="', 'event_time="x', 'event_time="x'),
    ],
)
def test_a_mistake_in_the_declaration_is_not_reported_in_files_that_import_it(
    tmp_path: Path, old: str, new: str, marked: str
) -> None:
    """Three files import the declaration: one directly, one through another file, one inside its function."""
    folder = copy(PROJECT / "include" / "models" / "bike_demand", tmp_path / "bike_demand")
    (folder / "shared.py").write_text(f"{IMPORT}ZONE = MODEL.timezone\n")
    for file, line in (
        ("features", f"import numpy as np\n{IMPORT}"),
        ("candidates", "from include.spec import Candidate\nfrom include.models.bike_demand.shared import ZONE\n"),
    ):
        path = folder / f"{file}.py"
        path.write_text(path.read_text().replace(line.split("\n")[0] + "\n", line, 1))
    path = folder / "expectations.py"
    path.write_text(
        path.read_text().replace("    return [\n", f"    {IMPORT}    assert MODEL.timezone\n    return [\n", 1)
    )
    assert lint("bike_demand", folder, fit=False) == []
    path = folder / "model.py"
    path.write_text(path.read_text().replace(old, new, 1))
    number = path.read_text()[: path.read_text().index(marked)].count("\n") + 1
    places = {(p.place.file.name, p.place.line) for p in lint("bike_demand", folder, fit=False)}
    assert places == {("model.py", number)}


def test_a_mistake_in_an_imported_file_is_reported_once_in_that_file(tmp_path: Path) -> None:
    folder = copy(TOY, tmp_path / "toy")
    (folder / "shared.py").write_text("TEXTS = ['shop']\nNUMBERS = 1 / 0\n")
    for file in ("features", "candidates"):
        path = folder / f"{file}.py"
        head = "from __future__ import annotations\n"
        path.write_text(path.read_text().replace(head, f"{head}\nfrom include.models.toy.shared import TEXTS\n", 1))
    reported = [(p.place.file.name, p.place.line, p.what) for p in lint("toy", folder, fit=False)]
    assert reported == [("shared.py", 2, "fails: ZeroDivisionError: division by zero")]
    (folder / "shared.py").write_text("TEXT = ['shop']\n")
    lacking = [(p.place.file.name, p.what) for p in lint("toy", folder, fit=False)]
    assert lacking == [(f, "include.models.toy.shared has no 'TEXTS'") for f in ("candidates.py", "features.py")]


def test_a_renamed_column_is_one_mistake_at_its_declaration(tmp_path: Path) -> None:
    """Two files use an undeclared name, and a similar declared name is used nowhere. So the declaration is wrong."""
    problems, path = changed(tmp_path, "model", 'name="shop"', 'name="shopp"')
    assert len(problems) == 1
    assert "'shopp' is used nowhere" in problems[0].what
    assert problems[0].suggestion is not None
    path.write_text(problems[0].suggestion.applied(path.read_text()))
    assert lint("toy", path.parent) == []


def test_a_misspelt_use_also_names_the_declaration(tmp_path: Path) -> None:
    problems, path = changed(tmp_path, "features", '("x", "z", "items"', '("x", "zz", "items"')
    assert len(problems) == 1, [str(p) for p in problems]
    assert problems[0].place.file == path
    assert [end.place.file.name for end in problems[0].also] == ["model.py"]


def test_parsing_a_text_column_is_not_a_mistake(tmp_path: Path) -> None:
    """Text columns can hold dates or numbers, which `build` may parse."""
    new = f'    numbers["day"] = np.asarray(columns["id"], "datetime64[D]").astype(np.float32)\n{RETURN}'
    problems, _ = changed(tmp_path, "features", RETURN, new)
    assert [p.what for p in problems] == ["feature 'day' is built, and no candidate takes it"]


def test_build_may_change_its_columns_in_place(tmp_path: Path) -> None:
    """Each call gets copies, so a second call with the same rows gets the same values."""
    hour = '    at = columns["at"]\n'
    problems, _ = changed(tmp_path, "features", hour, f'{hour}    columns["x"] *= 2\n    columns["z"] += 1\n')
    assert problems == []


def test_of_two_similar_modules_the_one_with_the_attribute_is_suggested(tmp_path: Path) -> None:
    was = "late[cancelled], minutes[cancelled] = np.nan"
    (problem,), path = changed(tmp_path, "source", was, was.replace("np.", "p."))
    assert problem.what == "'p' is not defined" and problem.suggestion is not None
    assert was in problem.suggestion.applied(path.read_text())


def problems_with(folder: Path, old: str, new: str, line: str) -> list[Problem]:
    """Return the problems of the toy's candidates after an estimator is replaced by one that ``line`` imports."""
    copied = copy(TOY, folder / "toy") / "candidates.py"
    text = copied.read_text()
    assert old in text
    head = "from include.spec import Candidate"
    copied.write_text(text.replace(head, f"{head}\n{line}").replace(old, new))
    return [p for p in lint("toy", copied.parent) if p.place.file == copied]


def test_a_candidate_that_a_night_could_not_store_is_an_error(tmp_path: Path) -> None:
    """It can be fitted, scored and converted, but the skops file of its twin would be refused."""
    line = "from tests.training.borrowed import Borrowed"
    (problem,) = problems_with(tmp_path, "LogisticRegression(C=1.0, max_iter=300)", "Borrowed(max_iter=300)", line)
    assert problem.severity == "error" and "'logistic' cannot be stored" in problem.what
    assert "not reviewed: tests.training.borrowed.Borrowed" in problem.what and "trusted_types=('tests." in problem.hint
    assert "borrowed.Borrowed. A fit is stored as" in problem.sentence, "two sentences, not joined by a semicolon"


def test_a_conversion_that_fails_is_a_warning(tmp_path: Path) -> None:
    """An estimator without a converter is an error before any fit; this failure may be due to the made-up rows."""
    line = "from tests.training.borrowed import Stubborn"
    found = problems_with(tmp_path, "LogisticRegression(C=1.0, max_iter=300)", "Stubborn(max_iter=300)", line)
    (problem,) = [p for p in found if p.severity == "warning"]
    assert "'logistic': skl2onnx cannot convert" in problem.what and "not with these coefficients" in problem.what
