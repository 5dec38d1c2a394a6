"""The OpenAPI description of the prediction routes: one for any model, and one with schema and example per model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.serving.predict import MAX_ROWS
from include.serving.watcher import Served

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "timestamp": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
}
_REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Your id of this request; answered, and recorded with every prediction. Made up where absent.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:\\-]{1,128}$"},
}
_ERRORS = {
    "401": "No token, or not this server's (only where a token is set).",
    "404": "No model of this name; the nearest one is named.",
    "413": f"The body is larger than 8 MiB or has more than {MAX_ROWS} rows.",
    "415": "The body is not declared as application/json, or is compressed.",
    "422": "The rows break the input contract; the first 20 problems, each by row and field.",
    "500": "The model's own code failed on valid input.",
    "503": "The model is not in service, with the reason; or the server is starting.",
}
_PROBLEM = {
    "title": "Problem",
    "type": "object",
    "required": ["row", "field", "problem"],
    "properties": {
        "row": {"type": ["integer", "null"], "description": "Index of the row in `rows`, from 0."},
        "field": {"type": ["string", "null"], "description": "Name of the field (or header)."},
        "problem": {"type": "string", "description": "What is wrong, and the nearest right thing."},
    },
}
_ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["detail", "request_id"],
    "properties": {
        "detail": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
        "request_id": {"type": "string"},
        "model": {"type": "string"},
        "version": {"type": "integer"},
        "digest": {"type": "string"},
    },
}
_PREDICTION = {
    "title": "Prediction",
    "type": "object",
    "description": "`score`: the probability of the positive class, or the predicted value. With more than two "
    "classes: `label`, the most probable one, and `scores`, the probability of each.",
    "properties": {
        "score": {"type": "number"},
        "label": {"type": ["string", "integer", "boolean"]},
        "scores": {"type": "object", "additionalProperties": {"type": "number"}},
    },
}
_PREDICTIONS: dict[str, Any] = {
    "title": "Predictions",
    "type": "object",
    "required": ["model", "version", "digest", "request_id", "predictions"],
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "integer", "description": "The version that made every prediction of this answer."},
        "digest": {"type": "string", "description": "SHA-256 that names the bundle of this version."},
        "request_id": {"type": "string"},
        "predictions": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Prediction"},
            "description": "One per row, in the order of the rows.",
        },
    },
}
_ANY_ROWS = {
    "title": "Rows",
    "type": "object",
    "required": ["rows"],
    "additionalProperties": False,
    "properties": {
        "rows": {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": {"type": "object"}},
    },
}


def with_predictions(document: dict[str, Any], served: Mapping[str, Served], token: bool) -> dict[str, Any]:
    """FastAPI's description of the other routes, with the prediction routes of the models in service."""
    document = {**document, "paths": dict(document.get("paths", {}))}
    components = {**document.get("components", {})}
    schemas = {**components.get("schemas", {})}
    schemas |= {"Problem": _PROBLEM, "Error": _ERROR, "Prediction": _PREDICTION, "Predictions": _PREDICTIONS}
    schemas["Rows"] = _ANY_ROWS
    generic = _operation("predict", "Predict with any model", "#/components/schemas/Rows", None, token)
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    generic["post"]["parameters"] = [name, _REQUEST_ID]
    document["paths"]["/models/{name}/predict"] = generic
    for model, version in sorted(served.items()):
        schemas[f"{model}_row"] = _row_schema(version)
        reference = {"type": "array", "minItems": 1, "maxItems": MAX_ROWS}
        reference["items"] = {"$ref": f"#/components/schemas/{model}_row"}
        schemas[f"{model}_rows"] = {**_ANY_ROWS, "title": f"Rows of {model}", "properties": {"rows": reference}}
        operation = _operation(
            f"predict_{model}", f"Predict with {model} (version {version.version})",
            f"#/components/schemas/{model}_rows", example_rows(version), token, f"{model}_predictions",
        )  # fmt: skip
        schemas[f"{model}_prediction"] = _prediction_schema(version)
        schemas[f"{model}_predictions"] = _predictions_of(model)
        document["paths"][f"/models/{model}/predict"] = operation
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            if not path.startswith("/health"):
                document["paths"][path] = {verb: {**op, "security": [{"token": []}]} for verb, op in operations.items()}
    components["schemas"] = schemas
    document["components"] = components
    return document


def example_rows(served: Served) -> list[dict[str, Any]]:
    """One real row of the bundle's probe, the one with most values."""
    rows = served.predictor.probe.get("rows") or []
    if not rows:
        return []
    best = max(rows, key=lambda row: sum(value is not None for value in row.values()))
    return [{name: value for name, value in best.items() if value is not None}]


def _operation(
    operation_id: str,
    summary: str,
    schema: str,
    example: list[dict[str, Any]] | None,
    token: bool,
    answer: str = "Predictions",
) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": {"$ref": schema}}
    if example:
        body["example"] = {"rows": example}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses: dict[str, Any] = {
        "200": {
            "description": "One prediction per row, all made by the version named.",
            "headers": {"X-Request-ID": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}},
        }
    }
    for status, description in _ERRORS.items():
        if token or status != "401":
            responses[status] = {"description": description, "content": error}
    return {
        "post": {
            "tags": ["predictions"],
            "summary": summary,
            "operationId": operation_id,
            "parameters": [_REQUEST_ID],
            "requestBody": {"required": True, "content": {"application/json": body}},
            "responses": responses,
        }
    }


def _prediction_schema(served: Served) -> dict[str, Any]:
    """What the answer to one row of this version looks like."""
    schema, classes = served.predictor.schema, served.predictor.classes
    if classes is None:
        value: dict[str, Any] = {"type": "number", "description": "The predicted value."}
        if schema["output_kind"] == "probabilities":
            what = f"The probability that the label is {schema.get('positive')!r}."
            value = {"type": "number", "minimum": 0, "maximum": 1, "description": what}
        properties: dict[str, Any] = {"score": value}
    else:
        names = [str(c) for c in classes]
        each = {name: {"type": "number", "minimum": 0, "maximum": 1} for name in names}
        scores = {"type": "object", "required": names, "additionalProperties": False, "properties": each}
        properties = {
            "label": {"enum": list(classes), "description": "The most probable class."},
            "scores": {**scores, "description": "The probability of each class."},
        }
    return {"title": f"Prediction of {served.model}", "type": "object", "required": list(properties),
            "additionalProperties": False, "properties": properties}  # fmt: skip


def _predictions_of(model: str) -> dict[str, Any]:
    items = {**_PREDICTIONS["properties"]["predictions"], "items": {"$ref": f"#/components/schemas/{model}_prediction"}}
    properties = {**_PREDICTIONS["properties"], "predictions": items}
    return {**_PREDICTIONS, "title": f"Predictions of {model}", "properties": properties}


def _row_schema(served: Served) -> dict[str, Any]:
    properties, required = {}, []
    for column in served.predictor.schema["columns"]:
        schema = dict(_JSON_TYPES[column["type"]])
        if column["nullable"]:
            schema["type"] = [schema["type"], "null"]
        else:
            required.append(column["name"])
        description = column.get("description") or ""
        times = served.predictor.contract.event_times
        if times is not None and column["name"] == times.column:
            description = f"{description} The event time: {times.sentence()}.".strip()
        if description:
            schema["description"] = description
        properties[column["name"]] = schema
    return {
        "title": f"Row of {served.model}",
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }
