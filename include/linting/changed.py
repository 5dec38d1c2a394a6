"""Which models a branch changes: what a pull request must lint and train."""

from __future__ import annotations

import subprocess
from pathlib import Path

from include import catalog
from include.errors import ConfigurationError
from include.settings import PROJECT

MODELS = "include/models"


def changed(base: str, project: Path = PROJECT) -> list[str]:
    """Names of the models whose folders differ from where this branch left ``base``; deleted folders are left out.

    Raises
    ------
    ConfigurationError : ``project`` is not a git repository, or has no such revision.
    """
    if not base:
        raise ConfigurationError("name what the branch will be merged into: changed --base origin/main")
    start = _git(project, "merge-base", base, "HEAD").strip()
    files = _git(project, "diff", "--name-only", "-z", "--no-renames", start, "--", MODELS).split("\0")
    files += _git(project, "ls-files", "--others", "--exclude-standard", "-z", "--", MODELS).split("\0")
    names = {Path(file).parts[2] for file in files if len(Path(file).parts) > 3}
    return [name for name in catalog.folders() if name in names and (project / MODELS / name).is_dir()]


def _git(project: Path, *arguments: str) -> str:
    # A container of CI runs as another user than the one that owns the checkout, which git refuses unless configured.
    command = ["git", "-c", f"safe.directory={project}", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        hint = "; in CI, check out with fetch-depth: 0" if arguments[0] == "merge-base" else ""
        raise ConfigurationError(f"git {' '.join(arguments[:3])} in {project}: {reason}{hint}")
    return done.stdout
