"""The version of a bundle that MLflow's clients load: ``mlflow.pyfunc.load_model("models:/<model>@champion")``.

It has the bundle's own ONNX model, input schema and `features.py`, verified against the bundle's digest when they are
loaded, and a copy of the code that scores with them (`include.scoring.pyfunc`), under a package name of its own. So it
loads wherever its ``requirements.txt`` is installed, with or without Perennial, and no pickle is part of it. The same
bundle always makes the same bytes.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import logging
import re
import sys
import zipfile
from importlib import metadata
from typing import Any

from include.errors import PerennialError
from include.registry import tracking
from include.registry.bundles import SUMS, Bundle, BundleStore
from include.registry.ledger import Ledger
from include.scoring.documents import InputSchema, Probe
from include.scoring.pyfunc import LABEL, OF_CLASS, SCORE
from include.settings import PROJECT

log = logging.getLogger(__name__)

ENTRY = "include.scoring.pyfunc"
NEEDS = ("mlflow", "msgspec", "numpy", "onnxruntime", "pandas")
EXAMPLE_ROWS = 3
_OURS = re.compile(r"^(\s*from )include(?=[. ])", re.MULTILINE)
_LOADER = '''"""Loads the code next to it and, with it, the model. Written by Perennial."""

import sys
from pathlib import Path

if sys.version_info < (3, 11):
    raise ImportError(f"this model needs Python 3.11 or newer, not {{sys.version.split()[0]}}.")
_code = str(Path(__file__).with_name("{package}.zip"))
if _code not in sys.path:
    sys.path.append(_code)
try:
    from {package}.scoring.pyfunc import _load_pyfunc
except ModuleNotFoundError as missing:
    raise ImportError(
        f"this model needs the package {{missing.name!r}}: install the requirements.txt next to its MLmodel."
    ) from missing
'''


def log_model(mlflow_run_id: str, bundle: Bundle) -> None:
    """Store a bundle for MLflow's clients with the run that its version comes from. Idempotent; safe to kill."""
    tracking.log_model_files(mlflow_run_id, model_files(bundle, mlflow_run_id))


def ensure(model: str, version: int, digest: str) -> None:
    """Store a version's bundle for MLflow's clients, if it was packaged before bundles were.

    Whatever fails is only logged: a release never waits for it.
    """
    try:
        row = Ledger.default().number(model, version)
        if row.mlflow_run_id is None:
            log.warning("Version %d of %s cannot be loaded from MLflow: its run there is not known.", version, model)
        elif not tracking.has_model_files(row.mlflow_run_id):
            log_model(row.mlflow_run_id, BundleStore.default().open(model, digest))
    except PerennialError as error:
        log.warning("Version %d of %s cannot be loaded from MLflow: %s", version, model, error)


def model_files(bundle: Bundle, mlflow_run_id: str) -> dict[str, bytes]:
    """The files of the MLflow model, by path in its folder.

    Raises
    ------
    IntegrityError : a file of the bundle is changed or missing.
    """
    schema, probe = InputSchema.of(bundle), Probe.of(bundle)
    package, code = scoring_code()
    data = f"data/{bundle.digest}"
    names = ("model.onnx", InputSchema.FILE, "source/features.py")
    described = _described(bundle, mlflow_run_id, schema, package, data)
    return {
        **{f"{data}/{name}": bundle.read(name) for name in names},
        f"{data}/{SUMS}": (bundle.path / SUMS).read_bytes(),
        f"code/{package}.zip": code,
        f"code/{package}_loader.py": _LOADER.format(package=package).encode(),
        "input_example.json": _example(schema, probe),
        "requirements.txt": "".join(f"{name}=={metadata.version(name)}\n" for name in NEEDS).encode(),
        "python_env.yaml": f"python: {sys.version.split()[0]}\ndependencies:\n- -r requirements.txt\n".encode(),
        "MLmodel": described.encode(),
    }


def scoring_code() -> tuple[str, bytes]:
    """The code that scores, as a package in a zip file; returns its name, which has a digest of the code, and bytes."""
    modules = _reached(ENTRY)
    digest = hashlib.sha256("".join(f"{name}\0{text}\0" for name, text in sorted(modules.items())).encode())
    package = f"perennial_scoring_{digest.hexdigest()[:12]}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in sorted(modules.items()):
            place = f"{package}/{name}"
            archive.writestr(zipfile.ZipInfo(place), _OURS.sub(rf"\g<1>{package}", text))
    return package, buffer.getvalue()


def _reached(entry: str) -> dict[str, str]:
    """The source of a module of `include` and of all that it imports from there, by path below the package."""
    found = {"__init__.py": '"""The code of Perennial that scores with this model."""\n'}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        place = PROJECT.joinpath(*name.split("."))
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        label = path.relative_to(PROJECT / "include").as_posix()
        if label in found:
            continue
        found[label] = path.read_text()
        waiting += _imports(found[label])
        waiting += [name.rpartition(".")[0]] if name.count(".") > 1 else []
    return found


def _imports(text: str) -> list[str]:
    """The modules of `include` that a source imports."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "include":
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in named if PROJECT.joinpath(*name.split(".")).with_suffix(".py").is_file()]
            found += modules if node.module == "include" else [str(node.module), *modules]
    return found


def _described(bundle: Bundle, mlflow_run_id: str, schema: InputSchema, package: str, data: str) -> str:
    """The file ``MLmodel``."""
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema

    # MLflow would refuse whole numbers for a double, and times with a timezone. Our own checks accept all values that
    # fit the declared types, which the metadata have.
    inputs = [
        ColSpec(DataType.string if column.type == "string" else AnyType(), column.name, required=not column.nullable)
        for column in schema.columns
    ]
    outputs: list[ColSpec] = [ColSpec(DataType.double, SCORE)]
    if schema.several is not None:
        kinds = {str: DataType.string, int: DataType.long, bool: DataType.boolean, float: DataType.double}
        label = ColSpec(kinds.get(type(schema.several[0]), DataType.string), LABEL)
        outputs = [label, *(ColSpec(DataType.double, f"{OF_CLASS}{name}") for name in schema.several)]
    manifest = bundle.json("manifest.json")
    about: dict[str, Any] = {
        "model": bundle.model,
        "version": manifest.get("version"),
        "bundle": bundle.digest,
        "inputs": {column.name: column.type for column in schema.columns},
    }
    model = Model(
        artifact_path=tracking.MODEL_FOLDER,
        run_id=mlflow_run_id,
        utc_time_created=f"{manifest.get('as_of', '1970-01-01')} 00:00:00.000000",  # the same bundle: the same bytes
        model_uuid=bundle.digest[:32],
        signature=ModelSignature(Schema(inputs), Schema(outputs)),
        saved_input_example_info={
            "artifact_path": "input_example.json",
            "type": "dataframe",
            "pandas_orient": "split",
        },
        metadata={"perennial": about},
    )
    model.add_flavor(
        "python_function",
        loader_module=f"{package}_loader",
        code="code",
        data=data,
        python_version=sys.version.split()[0],
        env={"virtualenv": "python_env.yaml"},
    )
    return str(model.to_yaml())


def _example(schema: InputSchema, probe: Probe) -> bytes:
    names = [column.name for column in schema.columns]
    rows = [[row.get(name) for name in names] for row in probe.rows[:EXAMPLE_ROWS]]
    return json.dumps({"columns": names, "data": rows}, indent=1).encode()
