"""The replicas file as pydantic checks it; imported only where a file is read."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class Replica(BaseModel):
    """One engine that runs; see `cuvee.serve.replicas_file.ReplicaAddress`."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=500)]
    group: Name
    name: Annotated[str, Field(max_length=100, pattern=r"^[\w.:-]*$")] = ""
    max_concurrency: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    api_key_env: Annotated[str, Field(max_length=100)] = ""


class Model(BaseModel):
    """Names and tokenizer of one model."""

    model_config = ConfigDict(extra="forbid")

    names: Annotated[list[Name], Field(max_length=1000)] = []
    tokenizer: str = ""


class ReplicasFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    replicas: Annotated[list[Replica], Field(min_length=1, max_length=10_000)]
    models: dict[str, Model] = {}
