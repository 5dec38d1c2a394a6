"""Lines and segments of the prediction spool of the small model, and folders of models that can load them."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

FILES = {
    "source.py": "def fetch(partition, connections): ...\n",
    "expectations.py": "def suite(): return []\n",
    "features.py": "def build(columns): return dict(columns)\n",
    "candidates.py": "def candidates(): return {}\n",
}


def line(n: int, **values: object) -> str:
    """A line of a segment, in JSON."""
    return json.dumps(
        {
            "request_id": f"r{n}",
            "row": 0,
            "key": {"number": n, "sensor": "s1"},
            "event_time": "2026-05-04T02:30:00Z",
            "version": 3,
            "digest": "d" * 64,
            "features": {"heat": 20.5},
            "score": 0.25,
            "scores": None,
            "predicted_at": "2026-05-05T02:00:00+00:00",
            **values,
        }
    )


def spool(
    root: Path, number: int, lines: list[str], suffix: str = "", server: str = "one", model: str = "sensors"
) -> Path:
    """Write a segment."""
    path = root / server / model / f"{number:012d}.jsonl{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(text + "\n" for text in lines))
    return path


def model_folder(root: Path, name: str, keep_days: int = 400) -> Path:
    """Write the folder of a model like the small one."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)  # bytecode is found by whole seconds
    for file, text in FILES.items():
        (folder / file).write_text(text)
    (folder / "model.py").write_text(
        "from datetime import timedelta\nfrom include.spec import Monitoring\n"
        "from tests.data.sensors import small_model\n"
        f"monitoring = Monitoring(keep=timedelta(days={keep_days}))\n"
        f'MODEL = small_model().model_copy(update={{"name": {name!r}, "monitoring": monitoring}})\n'
    )
    importlib.invalidate_caches()
    return folder
