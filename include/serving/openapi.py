"""The OpenAPI description: schemas from the structs that the server reads and writes, limits from the enforcing code.

FastAPI lists its routes. Here the prediction routes are added (one for any model, and one with schema and example for
each model in service), and what every route can answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from include.scoring.contract import INTEGER_LIMIT, MAX_PROBLEMS, NUMBER_LIMIT
from include.scoring.messages import Error, Predictions, Row
from include.serving.predict import MAX_BODY, MAX_ROWS, REQUEST_ID, Rows
from include.serving.protocol import MAX_HEAD, MAX_MESSAGE
from include.serving.status import Health, ModelDetails, Models
from include.serving.watcher import Served

Document = dict[str, Any]
"""A part of an OpenAPI document."""

_PLACE = "#/components/schemas/{name}"
_KINDS = {
    "string": str,
    "integer": Annotated[int, Meta(ge=-INTEGER_LIMIT, le=INTEGER_LIMIT)],
    "number": Annotated[float, Meta(ge=-NUMBER_LIMIT, le=NUMBER_LIMIT)],
    "boolean": bool,
    "timestamp": Annotated[datetime, Meta(tz=True)],
    "date": date,
}
"""What the contract accepts, by the type of the column."""

_REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Your id of this request; returned, and recorded with every prediction. Generated if absent.",
    "schema": {"type": "string", "pattern": f"^{REQUEST_ID.pattern.decode()}$"},
}
_NO_TOKEN = "No token, or not the token of this server. Only if the server is configured with a token."
_TAGS = [
    {"name": "predictions", "description": "One request, one version: the answer names it."},
    {"name": "models", "description": "The version in service, and why a newer one is not."},
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
    "422": f"The rows break the input contract, are more than {MAX_ROWS}, or have no finite score; up to "
    f"{MAX_PROBLEMS} problems.",
    "500": "The model's own code failed on valid input.",
    "503": "The model is not in service, with the reason; the server is starting, or has too much to do.",
}


def content(kind: type[msgspec.Struct]) -> Document:
    """The content of an answer: JSON of this struct."""
    return {"application/json": {"schema": _ref(kind.__name__)}}


def with_predictions(described: Document, served: Mapping[str, Served], token: bool) -> Document:
    """FastAPI's description of the other routes, with the prediction routes of the models in service.

    Parameters
    ----------
    described : what FastAPI makes; it is not changed.
    served : the versions in service by model name.
    token : whether the server has a token.
    """
    answers = (Rows, Predictions, Error, ModelDetails, Models, Health)
    schemas: Document = msgspec.json.schema_components(answers, ref_template=_PLACE)[1]
    name: Document = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    row = None
    if served:
        name["example"] = min(served)
        row = example_row(served[min(served)])
    paths: Document = {}
    for model, version in sorted(served.items()):
        schemas |= _schemas_of(version, schemas)
        paths[f"/models/{model}/predict"] = _operation(
            f"predict_{model}", f"Predict with {model} (version {version.version})", f"{model}_rows",
            f"{model}_predictions", example_row(version),
        )  # fmt: skip
    paths["/models/{name}/predict"] = _operation(
        "predict", "Predict with any model", Rows.__name__, Predictions.__name__, row, name
    )
    for path, operations in {**paths, **described["paths"]}.items():
        paths[path] = {verb: _completed(path, operation, name, token) for verb, operation in operations.items()}
    components: Document = {"schemas": schemas}
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {**described, "tags": _TAGS, "paths": paths, "components": components}


def example_row(served: Served) -> Row:
    """A made-up row, from the types of the columns alone: the documentation must not show real data."""
    today = datetime.now(UTC).date().isoformat()
    examples = {
        "string": "text",
        "integer": 1,
        "number": 1.5,
        "boolean": True,
        "timestamp": f"{today}T12:00:00Z",
        "date": today,
    }
    return {column.name: examples[column.type] for column in served.predictor.schema.columns}


def row_schema(served: Served) -> Document:
    """The schema of one row of this version, from its input schema."""
    times = served.predictor.contract.event_times
    properties, required = {}, []
    for column in served.predictor.schema.columns:
        schema: Document = msgspec.json.schema(_KINDS[column.type])
        if column.nullable:
            schema["type"] = [schema["type"], "null"]
        else:
            required.append(column.name)
        if times is not None and column.name == times.column:
            schema["description"] = f"The event time: {times.sentence()}."
        properties[column.name] = schema
    return _closed(f"Row of {served.model}", properties, required)


def _schemas_of(served: Served, shared: Document) -> Document:
    """The schemas of requests to a model, and of its answers: the shared ones, with rows and predictions of its own."""
    model = served.model

    def narrowed(kind: type[msgspec.Struct], field: str, items: str) -> Document:
        schema = shared[kind.__name__]
        rows = {**schema["properties"][field], "items": _ref(items)}
        return {**schema, "title": f"{kind.__name__} of {model}", "properties": {**schema["properties"], field: rows}}

    return {
        f"{model}_row": row_schema(served),
        f"{model}_rows": narrowed(Rows, "rows", f"{model}_row"),
        f"{model}_prediction": _prediction_schema(served),
        f"{model}_predictions": narrowed(Predictions, "predictions", f"{model}_prediction"),
    }


def _prediction_schema(served: Served) -> Document:
    """The schema of the answer to one row of this version."""
    schema, classes = served.predictor.schema, served.predictor.classes
    probability = msgspec.json.schema(Annotated[float, Meta(ge=0, le=1)])
    if classes is not None:
        names = [str(c) for c in classes]
        properties: Document = {
            "label": {"enum": list(classes), "description": "The most probable class."},
            "scores": {
                **_closed("Probabilities", dict.fromkeys(names, probability), names),
                "description": "The probability of each class.",
            },
        }
    elif schema.output_kind == "probabilities":
        what = f"The probability that the label is {schema.positive!r}."
        properties = {"score": {**probability, "description": what}}
    else:
        properties = {"score": {**msgspec.json.schema(float), "description": "The predicted value."}}
    return _closed(f"Prediction of {served.model}", properties, list(properties))


def _closed(title: str, properties: Document, required: list[str]) -> Document:
    """An object that has these properties and no others."""
    return {
        "title": title,
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _operation(
    operation_id: str, summary: str, rows: str, answer: str, example: Row | None, name: Document | None = None
) -> Document:
    """A prediction route.

    Parameters
    ----------
    rows, answer : names of the schemas of its request and its answer.
    name : the parameter with the model's name, if the path has it.
    """
    body: Document = {"schema": _ref(rows)}
    if example:
        body["example"] = {"rows": [example]}
    responses: Document = {
        "200": {
            "description": "One prediction per row, all made by the version named.",
            "headers": {"X-Request-ID": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": _ref(answer)}},
        }
    }
    for status, description in _OF_A_PREDICTION.items():
        responses[status] = {"description": description, "content": content(Error)}
    return {
        "post": {
            "tags": ["predictions"],
            "summary": summary,
            "operationId": operation_id,
            "parameters": [_REQUEST_ID] if name is None else [name, _REQUEST_ID],
            "requestBody": {"required": True, "content": {"application/json": body}},
            "responses": responses,
        }
    }


def _completed(path: str, operation: Document, name: Document, token: bool) -> Document:
    """An operation with what holds for every route: errors in one form, the token, an example of a model's name."""
    open_to_all = path.startswith("/health")
    completed = {**operation, "responses": _responses(operation["responses"], open_to_all)}
    if token and not open_to_all:
        completed["security"] = [{"token": []}]
    if "parameters" in operation:
        completed["parameters"] = [name if p["name"] == "name" else p for p in operation["parameters"]]
    return completed


def _responses(declared: Document, open_to_all: bool) -> Document:
    """What a route declares, and what each route can answer; errors have one form."""
    found = dict(declared)
    if "HTTPValidationError" in str(found.get("422")):
        del found["422"]
    error = _ref(Error.__name__)
    for status, description in {**({} if open_to_all else {"401": _NO_TOKEN}), **_OF_THE_SERVER}.items():
        own = found.get(status, {})
        schema = own.get("content", content(Error))["application/json"]["schema"]
        either = schema if schema == error else {"anyOf": [schema, error]}
        found[status] = {"description": description, **own, "content": {"application/json": {"schema": either}}}
    return {s: r if s == "200" else {"content": content(Error), **r} for s, r in sorted(found.items())}


def _ref(name: str) -> Document:
    return {"$ref": _PLACE.format(name=name)}
