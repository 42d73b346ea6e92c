# Copyright The Process Manager Authors.
# SPDX-License-Identifier: Apache-2.0

"""Prints the pydantic and FastAPI schemas of this directory, with pydantic 2.13.4.

FastAPI prints models with pydantic's models_json_schema and the ref_template below.
"""

import json
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal, Optional, Union
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema


class Color(str, Enum):
    red = "red"
    green = "green"


class Address(BaseModel):
    street: str
    zip: Annotated[str, Field(pattern=r"^\d{5}$")]
    country: Literal["DE"] = "DE"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(gt=0, le=9)] = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    breed: str = Field(examples=["collie"], max_length=20)


class Node(BaseModel):
    name: str
    children: list["Node"] = []


class Order(BaseModel):
    """An order."""

    id: UUID
    at: datetime
    due: Optional[date] = None
    price: Decimal
    ratio: Annotated[float, Field(gt=0, lt=1)] = 0.5
    count: Annotated[int, Field(ge=1, multiple_of=2)] = 2
    note: Optional[str] = Field(default=None, title="Note", description="For people.")
    address: Optional[Address] = None
    color: Color = Color.red
    pet: Union[Cat, Dog] = Field(discriminator="kind")
    size: Union[int, Literal["auto"]] = "auto"
    span: tuple[int, int] = (0, 1)
    tags: set[str] = set()
    scores: dict[str, float] = {}
    tree: Optional[Node] = None
    anything: object = None


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    order: Order


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


def dump(name, schema):
    with open(name, "w", encoding="utf-8") as f:
        json.dump(schema, f, indent=2)
        f.write("\n")


dump("pydantic.json", Order.model_json_schema())
dump("pydantic-strict.json", Strict.model_json_schema())
dump("pydantic-open.json", Open.model_json_schema())
dump("pydantic-recursive.json", Node.model_json_schema())

_, models = models_json_schema([(Order, "validation")], ref_template="#/components/schemas/{model}")
dump("fastapi.json", {"$ref": "#/components/schemas/Order", "components": {"schemas": models["$defs"]}})
