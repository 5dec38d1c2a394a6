"""The OpenAPI description of the prediction routes: one for any model, and one with schema and example per model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from include.scoring.contract import INTEGER_LIMIT, NUMBER_LIMIT
from include.serving.predict import MAX_BODY, MAX_ROWS
from include.serving.protocol import MAX_HEAD, MAX_MESSAGE
from include.serving.watcher import Served

_JSON_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "minimum": -INTEGER_LIMIT, "maximum": INTEGER_LIMIT},
    "number": {"type": "number", "minimum": -NUMBER_LIMIT, "maximum": NUMBER_LIMIT},
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
_NO_TOKEN = "No token, or not the token of this server. Only if the server has a token."
_TAGS = [
    {"name": "predictions", "description": "One request, one version: the answer names it."},
    {"name": "models", "description": "What serves, and what stands in the way of something newer."},
    {"name": "health", "description": "For health checks and Prometheus."},
    {"name": "documentation", "description": "For tools that read OpenAPI."},
]
_OF_THE_SERVER = {
    "400": "Not an HTTP/1.1 request that the server understands.",
    "405": "Not the method of this route; the header `Allow` has it.",
    "408": "The request did not arrive in time. The connection is closed.",
    "413": f"The request is larger than {MAX_MESSAGE // 2**20} MiB.",
    "431": f"The head of the request is larger than {MAX_HEAD // 1024} KiB.",
    "500": "The server failed; its log has the traceback.",
    "503": "Too many connections are open.",
}
"""What any route can answer."""

_OF_A_PREDICTION = {
    "404": "The server does not know this model; the answer names the nearest one.",
    "413": f"The body is larger than {MAX_BODY // 2**20} MiB.",
    "415": "The body is not declared as application/json, or is compressed.",
    "422": f"The rows break the input contract, are more than {MAX_ROWS}, or have no finite score; up to 20 problems.",
    "500": "The model's own code failed on valid input.",
    "503": "The model is not in service, with the reason; the server is starting, or has too much to do.",
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
    "required": ["detail"],
    "properties": {
        "detail": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
        "request_id": {"type": "string", "description": "Of a prediction."},
        "model": {"type": "string", "description": "Of a prediction that reached a version; like the next two."},
        "version": {"type": "integer"},
        "digest": {"type": "string"},
    },
}
_ERROR_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
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


def with_predictions(described: dict[str, Any], served: Mapping[str, Served], token: bool) -> dict[str, Any]:
    """FastAPI's description of the other routes, with the prediction routes of the models in service.

    Parameters
    ----------
    described : what FastAPI makes; it is not changed.
    served : the versions in service by model name.
    token : whether the server has a token.
    """
    components = dict(described.get("components", {}))
    schemas = {
        **{name: s for name, s in components.get("schemas", {}).items() if not name.endswith("ValidationError")},
        **{"Problem": _PROBLEM, "Error": _ERROR, "Prediction": _PREDICTION, "Predictions": _PREDICTIONS},
        "Rows": _ANY_ROWS,
    }
    paths: dict[str, Any] = {}
    for model, version in sorted(served.items()):
        schemas |= _schemas_of(model, version)
        paths[f"/models/{model}/predict"] = _operation(
            f"predict_{model}", f"Predict with {model} (version {version.version})",
            f"#/components/schemas/{model}_rows", example_row(version), f"{model}_predictions",
        )  # fmt: skip
    name: dict[str, Any] = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    row = None
    if served:
        name["example"] = min(served)
        row = example_row(served[min(served)])
    generic = _operation("predict", "Predict with any model", "#/components/schemas/Rows", row)
    generic["post"]["parameters"] = [name, _REQUEST_ID]
    paths |= {"/models/{name}/predict": generic, **described["paths"]}
    for path, operations in paths.items():
        paths[path] = {verb: _completed(path, operation, name, token) for verb, operation in operations.items()}
    components["schemas"] = schemas
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {**described, "tags": _TAGS, "paths": paths, "components": components}


def _completed(path: str, operation: Mapping[str, Any], name: Mapping[str, Any], token: bool) -> dict[str, Any]:
    """An operation with what holds for every route: errors in one form, the token, an example of a model's name."""
    open_to_all = path.startswith("/health")
    completed = {**operation, "responses": _responses(operation["responses"], open_to_all)}
    if token and not open_to_all:
        completed["security"] = [{"token": []}]
    if "parameters" in operation:
        completed["parameters"] = [name if p["name"] == "name" else p for p in operation["parameters"]]
    return completed


def _schemas_of(model: str, version: Served) -> dict[str, Any]:
    """The schemas of requests to a model, and of its answers."""
    rows = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_ROWS,
        "items": {"$ref": f"#/components/schemas/{model}_row"},
    }
    return {
        f"{model}_row": _row_schema(version),
        f"{model}_rows": {**_ANY_ROWS, "title": f"Rows of {model}", "properties": {"rows": rows}},
        f"{model}_prediction": _prediction_schema(version),
        f"{model}_predictions": _predictions_of(model),
    }


def example_row(served: Served) -> dict[str, Any]:
    """A made-up row, from the types of the columns alone: rows of data are not for those who read documentation."""
    today = datetime.now(UTC).date().isoformat()
    examples = {
        "string": "text",
        "integer": 1,
        "number": 1.5,
        "boolean": True,
        "timestamp": f"{today}T12:00:00Z",
        "date": today,
    }
    return {column["name"]: examples[column["type"]] for column in served.predictor.schema["columns"]}


def _responses(declared: Mapping[str, Any], open_to_all: bool) -> dict[str, Any]:
    """What a route declares, and what each route can answer; errors have one form."""
    found = dict(declared)
    if "HTTPValidationError" in str(found.get("422")):
        del found["422"]
    error = _ERROR_CONTENT["application/json"]["schema"]
    for status, description in {**({} if open_to_all else {"401": _NO_TOKEN}), **_OF_THE_SERVER}.items():
        own = found.get(status, {})
        schema = own.get("content", _ERROR_CONTENT)["application/json"]["schema"]
        content = {"application/json": {"schema": schema if schema == error else {"anyOf": [schema, error]}}}
        found[status] = {"description": description, **own, "content": content}
    return {s: r if s == "200" else {"content": _ERROR_CONTENT, **r} for s, r in sorted(found.items())}


def _operation(
    operation_id: str,
    summary: str,
    schema: str,
    example: dict[str, Any] | None,
    answer: str = "Predictions",
) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": {"$ref": schema}}
    if example:
        body["example"] = {"rows": [example]}
    responses: dict[str, Any] = {
        "200": {
            "description": "One prediction per row, all made by the version named.",
            "headers": {"X-Request-ID": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}},
        }
    }
    for status, description in _OF_A_PREDICTION.items():
        responses[status] = {"description": description, "content": _ERROR_CONTENT}
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
