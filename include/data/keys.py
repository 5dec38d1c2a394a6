"""The canonical keys of the rows of a table; `include.scoring.keys` makes those of single rows."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.data.schema import ARROW
from include.scoring import keys
from include.spec import ColumnType, Model

TEXT, INSTANT = ARROW[ColumnType.STRING], ARROW[ColumnType.TIMESTAMP]


def of_model(model: Model) -> keys.Key:
    """The columns of a model's key, which predictions and the rows of the lake share."""
    return keys.of([(column.name, column.type.value) for column in model.data.inputs], model.data.key)


def canonical(model: Model, rows: pa.Table) -> pa.Array:
    """The canonical key of each row, as `keys.canonical` makes it of the same values.

    Parameters
    ----------
    rows : with the columns of the key, in the types of the lake (the table ``rows``, or a part of it).

    Returns
    -------
    Large strings; null if a value of the key is missing, or cannot be that of a prediction (infinity).
    """
    parts: list[pa.Array | pa.Scalar] = []
    for name, kind in of_model(model):
        begin = f"{', ' if parts else '{'}{json.dumps(name)}: "
        column = rows.column(name).combine_chunks()
        parts += [_same(begin, rows.num_rows), _texts(kind, column.cast(ARROW[ColumnType(kind)]))]
    parts.append(_same("}" if parts else "{}", rows.num_rows))
    return pc.binary_join_element_wise(*parts, pa.scalar("", TEXT), null_handling="emit_null")


def _same(text: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, TEXT), rows)


def _texts(kind: str, values: pa.Array) -> pa.Array:
    """The canonical JSON of each value. Except for instants, Python sees each distinct value once."""
    if pa.types.is_timestamp(values.type):
        moments = values.fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False).astype("datetime64[us]")
        texts = [keys.instant(moment) for moment in np.datetime_as_string(moments, unit="us").tolist()]
        return pa.array(texts, TEXT, mask=values.is_null().to_numpy(zero_copy_only=False))
    distinct = values.dictionary_encode()
    texts = pa.array([_text(kind, value) for value in distinct.dictionary.to_pylist()], TEXT)
    return texts.take(distinct.indices)


def _text(kind: str, value: object) -> str | None:
    try:
        return keys.text(kind, value)
    except ValueError:
        return None
