"""Only a supported Python creates `.venv`, with pip's settings. An interrupted installation is repeated."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from include.settings import PROJECT
from include.stack import bootstrap, lock
from include.stack.bootstrap import CannotInstall, check_python, uv_environment


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_supported_pythons(version: tuple[int, int]) -> None:
    check_python(version, "python3")


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 14), (2, 7)])
def test_other_pythons_are_refused_and_named(version: tuple[int, int]) -> None:
    with pytest.raises(CannotInstall, match=f"/usr/bin/thisone is Python {version[0]}.{version[1]}.*PYTHON="):
        check_python(version, "/usr/bin/thisone")


def test_pips_settings_reach_uv() -> None:
    config = (
        "global.index-url='https://mirror.example/simple'\nglobal.extra-index-url='file:///a file:///b'\n"
        "global.timeout='60'\n:env:.find-links='/wheels /more'\n:env:.index-url='https://env.example/simple'\n"
    )
    found = uv_environment(config, {"PATH": "/bin", "UV_FIND_LINKS": "/mine"})
    assert found["UV_DEFAULT_INDEX"] == "https://env.example/simple"  # the environment wins over the file
    assert found["UV_INDEX"] == "file:///a file:///b"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert found["UV_FIND_LINKS"] == "/mine"  # uv's own settings win
    assert found["UV_HTTP_TIMEOUT"] == "60"
    assert found["PATH"] == "/bin"
    assert "UV_INDEX_STRATEGY" not in uv_environment("", {})


def fake_python(folder: Path, name: str, version: str | None) -> None:
    """Create a program that claims to be this Python (``None``: a shim that does not run)."""
    path = folder / name
    if version is None:
        path.write_text("#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")
    else:
        # The real Python under another version number. If it gets a script file, this is the bootstrap.
        pretend = f"import sys; sys.version_info = ({version.replace('.', ', ')}, 0); exec(sys.argv[1])"
        path.write_text(
            f'#!/bin/sh\nif [ "$1" = -c ]; then exec {sys.executable} -c "{pretend}" "$2"; fi\n'
            f'echo "bootstrapped by {name} {version}"\n'
        )
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the Makefile, and a PATH with our fake Pythons and the programs that the Makefile needs."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "make", "awk", "tail", "echo"):
        where = shutil.which(tool)
        assert where
        (tools / tool).symlink_to(where)
    return tmp_path


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(project / "bin")}
    return subprocess.run(
        ["make", *arguments], cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_make_uses_the_first_python_that_runs_and_is_supported(project: Path) -> None:
    fake_python(project / "bin", "python3.12", None)  # a pyenv shim
    fake_python(project / "bin", "python3.13", "3.13")
    fake_python(project / "bin", "python3", "3.9")
    assert "bootstrapped by python3.13" in make(project, "venv").stdout


def test_make_skips_a_python_of_an_unsupported_version(project: Path) -> None:
    fake_python(project / "bin", "python3", "3.9")
    fake_python(project / "bin", "python", "3.12")
    assert "bootstrapped by python 3.12" in make(project, "venv").stdout


def test_make_passes_an_unsupported_python_to_the_check_that_names_it(project: Path) -> None:
    fake_python(project / "bin", "python3", "3.9")
    assert "bootstrapped by python3 3.9" in make(project, "venv").stdout


def test_the_variable_overrides_the_choice(project: Path) -> None:
    fake_python(project / "bin", "python3.12", "3.12")
    fake_python(project / "bin", "mine", "3.11")
    assert "bootstrapped by mine" in make(project, "venv", "PYTHON=mine").stdout


def test_no_python_at_all_is_a_clear_error(project: Path) -> None:
    done = make(project, "venv")
    assert done.returncode != 0
    assert "install Python 3.11, 3.12 or 3.13" in done.stderr


def test_typed_values_reach_python_unchanged(project: Path) -> None:
    """make would expand "$5" as a variable, so the Makefile must keep it from expanding typed values."""
    fake_python(project / "bin", "python3.12", "3.12")
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    typed = 'it\'s $5x, "$HOME" # $(shell echo no) %'
    output = make(project, "rollback", "PYTHON=python3.12", "MODEL=toy", f"REASON={typed}").stdout.splitlines()
    assert output[-6:] == ["--model", "toy", "--version", "", "--reason", typed]
    output = make(project, "new-model", "PYTHON=python3.12", f"OWNER={typed}", f"SOURCE={typed}").stdout.splitlines()
    assert output.count(typed) == 2


@pytest.mark.parametrize(("code", "good"), [(0, True), (1, False), (3, True)])
def test_status_works_without_a_stack(project: Path, code: int, good: bool) -> None:
    fake_python(project / "bin", "python3.12", "3.12")
    python = project / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nexit {code}\n")
    python.chmod(0o755)
    done = make(project, "status", "PYTHON=python3.12")
    assert (done.returncode == 0, "Error" not in done.stderr) == (good, good)


def test_an_interrupt_during_the_imports_of_make_run_stops_it_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "include.stack", "run"]
    environment = os.environ | {"PERENNIAL_HOME": str(tmp_path / "home")}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        next(line for line in process.stderr if line.endswith(" include.catalog\n"))
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in rest and not (tmp_path / "home").exists()


def test_make_alone_lists_the_targets(project: Path) -> None:
    text = make(project).stdout
    for target in ("run", "night", "test", "lint", "format", "types", "bench", "lock", "clean"):
        assert f"make {target} " in text


def test_a_valid_stamp_skips_the_installation_and_a_broken_one_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# none\n")
    calls: list[str] = []

    def run(command: list[str], environment: dict[str, str] | None = None) -> None:
        calls.append(" ".join(command))
        if calls[-1].endswith(str(requirements)) and len(calls) < 4:
            raise CannotInstall("the network failed")

    def make_venv(folder: Path, python: Path) -> None:
        python.parent.mkdir(parents=True, exist_ok=True)
        if not python.exists():
            python.symlink_to(sys.executable)

    monkeypatch.setattr(bootstrap, "_run", run)
    monkeypatch.setattr(bootstrap, "_make_venv", make_venv)
    with pytest.raises(CannotInstall):
        bootstrap.install(tmp_path, requirements)
    failed = len(calls)
    bootstrap.install(tmp_path, requirements)  # again, cleanly
    done = len(calls)
    assert done > failed
    bootstrap.install(tmp_path, requirements)
    assert len(calls) == done
    requirements.write_text("# another\n")
    bootstrap.install(tmp_path, requirements)
    assert len(calls) > done


PYPROJECT = """[project.optional-dependencies]
dev = ["pytest"]
catboost = ["catboost==1.2.10", "plotly==7.1.0"]
lightgbm = ["lightgbm==4.7.0", "onnxmltools==1.16.0"]
xgboost = ["onnxmltools==1.16.0", "xgboost-cpu==3.2.0"]
"""


def test_extras_are_remembered_and_installed_again_only_when_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements, pyproject = tmp_path / "requirements.txt", tmp_path / "pyproject.toml"
    requirements.write_text("# none\n")
    pyproject.write_text(f"[project]\n\n{PYPROJECT}")
    calls: list[list[str]] = []
    failing = False

    def run(command: list[str], environment: dict[str, str] | None = None) -> None:
        if failing and "--constraint" in command:
            raise CannotInstall("the network failed.")
        calls.append(command)

    def make_venv(folder: Path, python: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)

    def optional(*asked: str) -> list[list[str]]:
        """Which packages the installation of what is optional asks for."""
        calls.clear()
        bootstrap.install(tmp_path, requirements, asked)
        return [call[call.index("--constraint") + 2 :] for call in calls if "--constraint" in call]

    monkeypatch.setattr(bootstrap, "_run", run)
    monkeypatch.setattr(bootstrap, "_make_venv", make_venv)
    assert optional() == [] and not (tmp_path / ".venv" / ".perennial-extras").exists()
    both = ["lightgbm==4.7.0", "onnxmltools==1.16.0", "xgboost-cpu==3.2.0"]
    assert optional("xgboost", "lightgbm") == [both]
    assert optional() == optional("lightgbm") == [] == calls, "nothing changed"
    assert optional("catboost") == [["catboost==1.2.10", "plotly==7.1.0"]]
    pyproject.write_text(pyproject.read_text().replace("3.2.0", "3.3.0"))
    assert optional() == [["onnxmltools==1.16.0", "xgboost-cpu==3.3.0"]]
    requirements.write_text("# another\n")  # the environment is a new one, and has the same extras
    assert optional() == [["catboost==1.2.10", "plotly==7.1.0", *both[:2], "xgboost-cpu==3.3.0"]]
    requirements.write_text("# and another\n")
    failing = True
    with pytest.raises(
        CannotInstall, match="network failed. To go on without catboost lightgbm xgboost: delete .*extras"
    ):
        bootstrap.install(tmp_path, requirements)
    failing = False
    assert len(optional()[0]) == 5, "an installation that failed is repeated"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lightgmb", "no extra 'lightgmb'; did you mean 'lightgbm'? EXTRAS can be: catboost lightgbm xgboost"),
        ("spark", "no extra 'spark'; EXTRAS can be: catboost lightgbm xgboost"),
        ("dev", "'dev' are in requirements.txt"),
    ],
)
def test_an_unknown_extra_is_refused_before_anything_is_installed(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "requirements.txt").write_text("# none\n")
    (tmp_path / "pyproject.toml").write_text(f"[project]\n\n{PYPROJECT}")
    done = subprocess.run(
        [sys.executable, str(BOOTSTRAP), "--root", str(tmp_path), "--extras", name], capture_output=True, text=True
    )
    assert done.returncode == 1 and message in done.stderr and not (tmp_path / ".venv").exists()


def test_make_passes_extras_on(project: Path) -> None:
    fake_python(project / "bin", "python3.12", "3.12")
    said = project / "bin" / "python3.12"
    said.write_text(said.read_text().replace("bootstrapped by", "bootstrapped with $3 by"))
    assert "bootstrapped with lightgbm xgboost by" in make(project, "venv", "EXTRAS=lightgbm xgboost").stdout


BOOTSTRAP = PROJECT / "include" / "stack" / "bootstrap.py"


def test_an_interrupt_gives_no_traceback_and_the_next_make_replaces_the_environment(tmp_path: Path) -> None:
    """The next make uses the Python of the incomplete environment, which must not delete itself."""
    (tmp_path / "requirements.txt").write_text("# none\n")
    python = tmp_path / ".venv" / "bin" / "python"
    process = subprocess.Popen(
        [sys.executable, str(BOOTSTRAP), "--root", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not python.exists():
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    _, output = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "interrupted; run make again to go on\n")
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]

    again = (
        f"import sys; sys.path.insert(0, {str(BOOTSTRAP.parent)!r}); import bootstrap; from pathlib import Path; "
        f"bootstrap._make_venv(Path({str(tmp_path / '.venv')!r}), Path({str(python)!r}))"
    )
    subprocess.run([str(python), "-c", again], check=True, timeout=300)
    done = subprocess.run([str(python), "-m", "pip", "--version"], check=True, capture_output=True, text=True)
    assert str(tmp_path) in done.stdout
    assert not (tmp_path / ".venv" / ".perennial-unfinished").exists()


def test_requirements_name_no_index_and_give_reasons() -> None:
    text = (PROJECT / "requirements.txt").read_text()
    for forbidden in (
        "http://",
        "https://",
        "file:",
        "--index",
        "--find-links",
        " @ ",
        str(PROJECT),
        os.path.expanduser("~"),
    ):
        assert forbidden not in text
    why = lock.reasons((PROJECT / "pyproject.toml").read_text())
    lines = {line.split("==")[0]: line for line in text.splitlines() if "==" in line and line[0] not in "# "}
    found = bootstrap.Extras(PROJECT, PROJECT / ".venv").offered().values()
    optional = {lock.normalized(pin.partition("==")[0]) for pins in found for pin in pins}
    for name, reason in why.items():
        assert name in optional or lines[name].endswith(f"  # {reason}"), f"{name}: run `make lock`"
    assert all("==" in line for line in lines.values())


def test_a_dependency_without_a_reason_is_refused() -> None:
    from include.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="'b>=1' has no reason"):
        lock.reasons('[project]\ndependencies = [\n    "a",  # because\n    "b>=1",\n]\n')
