"""The JSON Schema of results.json, generated from pipeline.results.schema.

    python -m pipeline.results.json_schema

writes results_schema.json anew; run it after each change of the types.
"""

from __future__ import annotations

import inspect
import json
import pathlib
from typing import Any

import pydantic
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from components.common.docstrings import described
from pipeline.results.schema import Results

SCHEMA_FILE = pathlib.Path(__file__).with_name("results_schema.json")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def results_schema() -> str:
    """Return the content of results_schema.json."""
    schema = pydantic.TypeAdapter(Results).json_schema(schema_generator=_Generator)
    title = "results.json of a Genreflow run"
    values = {"$schema": _DIALECT, **schema, "title": title}
    return json.dumps(values, indent=1) + "\n"


class _Generator(GenerateJsonSchema):
    """Generator that closes objects, describes fields by docstrings and knows absent parts."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        values = super().dataclass_schema(schema)
        text, fields = described(inspect.getdoc(schema["cls"]) or "")
        for name, words in fields.items():
            values["properties"][name]["description"] = words
        return {**values, "description": text, "additionalProperties": False}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Describe an optional part, which is absent and never null."""
        inner = schema["schema"]
        if inner["type"] == "nullable" and schema.get("default", ...) is None:
            return self.generate_inner(inner["schema"])
        return super().default_schema(schema)


if __name__ == "__main__":
    SCHEMA_FILE.write_text(results_schema(), encoding="utf-8")
