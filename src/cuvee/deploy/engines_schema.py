"""The engines file as pydantic checks it; imported only where a file is read."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Cpus = Annotated[str, Field(pattern=r"^\d{1,4}([-,]\d{1,4})*$")]


class Engine(BaseModel):
    """How replicas of a GPU type or group are started; see `cuvee.deploy.recipe.Recipe`."""

    model_config = ConfigDict(extra="forbid")

    command: Annotated[str, Field(min_length=1, max_length=10_000)]
    environment: dict[str, str] = {}
    cpus: list[Cpus] | Cpus = []
    max_concurrency: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    uses_gpus: bool | None = None


class EnginesFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1]
    default: Engine | None = None
    gpus: dict[str, Engine] = {}
    groups: dict[str, Engine] = {}
