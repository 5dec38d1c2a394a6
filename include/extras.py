"""Optional packages that models may use: which extra of pyproject.toml installs what is imported."""

from __future__ import annotations

EXTRAS = {"catboost": "catboost", "lightgbm": "lightgbm", "xgboost": "xgboost"}
"""Name of a module: name of the extra that installs it, together with what converts its models to ONNX."""


def advice(module: str) -> str:
    """What to type for a module that is not installed: ``make venv EXTRAS=...``; empty if no extra installs it."""
    extra = EXTRAS.get(module.partition(".")[0])
    return f"make venv EXTRAS={extra}" if extra else ""


def lacking(error: BaseException | None) -> str:
    """The optional package that is not installed and whose import failed, at any depth of causes; empty if none is."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
            return error.name
        error = error.__cause__ or error.__context__
    return ""
