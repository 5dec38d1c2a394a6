"""Files, pictures, commands, DAGs and folders that the pages name exist, and the pages are in plain English."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from include import catalog
from tests.docs.pages import CODE, anchors, commands, links, pages, plain, prose
from tests.docs.readme import ROOT, blocks

README, CONTRIBUTING = ROOT / "README.md", ROOT / ".github" / "CONTRIBUTING.md"
PICTURES = ROOT / ".github" / "images"
PATH = re.compile(r"^(?:tests|include|plugins|dags|\.github|\.ci)/[\w./*-]*$")
# The style table of CONTRIBUTING.md lists what to write instead.
UNUSUAL = re.compile(
    r"\b(?:mend(?:s|ed)?|heal(?:s|ed)?|told|strangers?|shall|surely|by want of|is none|has to be"
    r"|no more|beside|brings? home|brought home|to be true|an insurance)\b",
    re.IGNORECASE,
)
EVERY_PAGE = pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))


@EVERY_PAGE
def test_every_link_leads_somewhere(page: Path) -> None:
    assert len(anchors(page)) == len(set(anchors(page))), "two headings have the same anchor"
    for target in links(page):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@EVERY_PAGE
def test_every_path_that_is_named_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # also names files that no longer exist
    named = [word for code in CODE.findall(prose(page)) for word in code.split() if PATH.match(word)]
    # other commands can name files that the reader of a how-to has made
    ours = [words for words in commands(page) if words[0] == ".venv/bin/python"]
    named += [word for words in ours for word in words if PATH.match(word)]
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


@EVERY_PAGE
def test_every_fenced_block_is_closed_and_names_its_language(page: Path) -> None:
    assert {block.kind for block in blocks(page.read_text())} <= {"sh", "python", "text"}


@EVERY_PAGE
def test_every_make_command_has_its_target_and_passes_its_variables(page: Path) -> None:
    for words in commands(page):
        if words[0] == "make":
            made = [] if words[1] == "venv" else ["-o", "venv"]
            shown = subprocess.run(
                ["make", "-n", *made, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert shown.returncode == 0, f"{words}\n{shown.stderr}"
            for name, value in (word.split("=", 1) for word in words[2:] if "=" in word):
                known = f"$({name})" in (ROOT / "Makefile").read_text() or f"${name}" in shown.stdout
                used = f"${name}" in shown.stdout or all(word in shown.stdout for word in value.split())
                assert known and used, f"{words}: {name}"


@EVERY_PAGE
def test_every_module_that_is_run_exists(page: Path) -> None:
    for words in commands(page):
        if words[:2] == [".venv/bin/python", "-m"] and words[2] != "pytest":
            folder = ROOT / words[2].replace(".", "/")
            assert (folder / "__main__.py").is_file() or folder.with_suffix(".py").is_file(), words


@EVERY_PAGE
def test_every_variable_of_the_project_is_read_somewhere(page: Path) -> None:
    code = [*(ROOT / "include").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "Makefile"]
    read = "\n".join(path.read_text() for path in code)
    assert {name for name in re.findall(r"PERENNIAL_[A-Z_]+", page.read_text()) if name not in read} == set()


@EVERY_PAGE
def test_it_is_written_in_plain_english(page: Path) -> None:
    text = plain(page)
    if page == CONTRIBUTING:
        text = re.sub(r"^\| avoid \|.*?\n\n", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip() for line in text.splitlines() if UNUSUAL.search(line)]
    assert lines == [], "see the style table of CONTRIBUTING.md"


def test_every_picture_is_shown_and_every_drawing_is_xml() -> None:
    shown = {(page.parent / target).resolve() for page in pages() for target in links(page) if "images/" in target}
    assert shown == set(PICTURES.iterdir())
    for drawing in PICTURES.glob("*.svg"):
        root = ElementTree.parse(drawing).getroot()
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for node in root.iter():
            x, y = (float(node.get(name, 0)) for name in ("x", "y"))
            right, low = (at + float(node.get(size, 0)) for at, size in ((x, "width"), (y, "height")))
            assert node is root or (0 <= x <= right <= width and 0 <= y <= low <= height), node.attrib


def test_the_readme_is_short_and_has_a_glossary() -> None:
    assert len(README.read_text().splitlines()) <= 240
    for word in ("twin", "anchor", "hold", "as-of"):
        assert re.search(rf"^\| {word} \| ", README.read_text(), re.MULTILINE), f"the glossary lacks {word!r}"


def test_the_table_of_dags_matches_airflow() -> None:
    from airflow.dag_processing.dagbag import DagBag

    rows = re.findall(r"^\| `([<>\w]+_\w+)` \| ([^|]+) \|", README.read_text(), re.MULTILINE)
    shown = {name: re.sub(r"\([^)]*\)", "", tasks).replace(" ", "").split(",") for name, tasks in rows}
    model = catalog.by_priority()[0].name
    dags: Any = DagBag(str(ROOT / "dags")).dags
    real = {
        name.replace(f"{model}_", "<model>_"): [task.task_id for task in dag.topological_sort()]
        for name, dag in dags.items()
        if name.startswith((f"{model}_", "perennial_"))
    }
    assert shown == real


def test_the_table_of_floors_names_every_folder() -> None:
    """Every folder is described, and every described folder exists."""
    described = set(re.findall(r"^\| `include/(\w+)/` \|", CONTRIBUTING.read_text(), re.MULTILINE))
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "include"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert described == {file.split("/")[1] for file in files if file.count("/") > 1 and (ROOT / file).is_file()}


def test_the_licence_is_the_one_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0" and project["license-files"] == ["LICENSE"]
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n" in text and "Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")
