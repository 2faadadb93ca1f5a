"""The replicas file: where each group of a plan runs, under which names its models answer. YAML, checked in full."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from cuvee.catalog.tables import checked_yaml
from cuvee.errors import InputError
from cuvee.plan.outcome.result import Plan

EXPECTED = "a YAML file with version: 1 and replicas: a list of url and group"
REMEDY = "see docs/gateway.md for an example"


@dataclass(frozen=True)
class ReplicaAddress:
    """One engine that runs.

    Attributes
        url                Scheme, host and port; what its paths start with, where that is not "/".
        group              Id of its group in the plan.
        name               For logs and metrics; host:port where none is given.
        max_concurrency    Most requests it gets at once [-]; None: as the plan reckons.
        api_key            Secret that it asks for; "" of none. Never printed.
    """

    url: str
    group: str
    name: str
    max_concurrency: int | None = None
    api_key: str = ""

    def __repr__(self) -> str:
        return f"ReplicaAddress({self.name!r}, {self.url!r}, group={self.group!r})"

    @property
    def host(self) -> str:
        """Host of the url."""
        return cast(str, urlsplit(self.url).hostname)

    @property
    def port(self) -> int:
        """Port of the url."""
        parts = urlsplit(self.url)
        return parts.port or (443 if self.is_tls else 80)

    @property
    def is_tls(self) -> bool:
        """Whether it is spoken to in TLS."""
        return self.url.startswith("https:")

    @property
    def root(self) -> str:
        """What its paths start with, without a slash at the end."""
        return urlsplit(self.url).path.rstrip("/")


@dataclass(frozen=True)
class ServedModel:
    """How clients name a model of the plan.

    Attributes
        model        Its name in the plan.
        names        Names that clients use and its engines know; the plan's own where none is given.
        tokenizer    Path of its tokenizer.json; "" where prompts are estimated.
    """

    model: str
    names: tuple[str, ...]
    tokenizer: str = ""


@dataclass(frozen=True)
class Deployment:
    """What the replicas file says.

    Attributes
        replicas    In the order of the plan's groups.
        models      In the order of the plan.
        notes       What is to be known of it: replicas that are missing, or more than planned.
    """

    replicas: tuple[ReplicaAddress, ...]
    models: tuple[ServedModel, ...]
    notes: tuple[str, ...] = ()


def load_deployment(path: Path | str, plan: Plan) -> Deployment:
    """Read a replicas file for `plan`.

    Raises      InputError: not such a file; a group or model that is not the plan's; a group without replicas.
    """
    from cuvee.serve.replicas_schema import ReplicasFile

    record = checked_yaml(path, ReplicasFile, EXPECTED, REMEDY)
    ids = [group.id for group in plan.groups]
    replicas = [_address(each, place, path, ids) for place, each in enumerate(record["replicas"])]
    _refuse_repeated(replicas, path)
    replicas.sort(key=lambda each: ids.index(each.group))
    models = _models(record["models"], path, plan, Path(path).parent)
    return Deployment(tuple(replicas), models, tuple(_notes(replicas, plan, path)))


def _address(each: dict[str, Any], place: int, path: Path | str, ids: Sequence[str]) -> ReplicaAddress:
    where = f"{path}: replicas.{place}"
    url = each["url"].rstrip("/")
    parts = urlsplit(url)
    try:
        well_formed = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
        (parts.hostname or "").encode("idna")
    except ValueError:  # a port that is no number, a host that is no name
        well_formed = False
    if not well_formed or parts.query or parts.fragment or "@" in parts.netloc or re.search(r"[\s\x00-\x1f]", url):
        raise InputError(
            f"{where}: url {each['url']!r}", expected="http://host:port or https://host:port", remedy=REMEDY
        )
    if each["group"] not in ids:
        raise InputError(
            f"{where}: group {each['group']!r}",
            expected=f"a group of the plan: {', '.join(ids)}",
            remedy="take the ids as `cuvee plan` prints them",
        )
    key = ""
    if each["api_key_env"]:
        key = os.environ.get(each["api_key_env"], "")
        if not key or not key.isprintable():
            raise InputError(
                f"{where}: environment variable {each['api_key_env']} is not set",
                expected="the key that the engine asks for",
                remedy="set it, or leave api_key_env out",
            )
    port = parts.port or (443 if parts.scheme == "https" else 80)
    name = each["name"] or f"{parts.hostname}:{port}"
    return ReplicaAddress(url, each["group"], name, each["max_concurrency"], key)


def _refuse_repeated(replicas: Sequence[ReplicaAddress], path: Path | str) -> None:
    for field in ("url", "name"):
        counts = Counter(getattr(each, field) for each in replicas)
        twice = next((value for value, count in counts.items() if count > 1), None)
        if twice is not None:
            raise InputError(f"{path}: {field} {twice!r} twice", expected="each replica once", remedy=REMEDY)


def _models(given: dict[str, Any], path: Path | str, plan: Plan, folder: Path) -> tuple[ServedModel, ...]:
    known = list(dict.fromkeys(group.model for group in plan.groups))
    stranger = next((name for name in given if name not in known), None)
    if stranger is not None:
        raise InputError(
            f"{path}: models.{stranger}", expected=f"a model of the plan: {', '.join(known)}", remedy=REMEDY
        )
    models = []
    for model in known:
        said = given.get(model, {"names": [], "tokenizer": ""})
        tokenizer = str(folder / said["tokenizer"]) if said["tokenizer"] else ""
        models.append(ServedModel(model, tuple(said["names"]) or (model,), tokenizer))
    counts = Counter(name for each in models for name in each.names)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise InputError(f"{path}: model name {twice!r} twice", expected="one model for each name", remedy=REMEDY)
    return tuple(models)


def _notes(replicas: Sequence[ReplicaAddress], plan: Plan, path: Path | str) -> list[str]:
    """What is missing or too many; a group without any replica is an error."""
    notes = []
    for group in plan.groups:
        number = sum(each.group == group.id for each in replicas)
        if number == 0:
            raise InputError(
                f"{path}: no replica of group {group.id} ({plan.deployed(group)} {group.config.gpu_label})",
                expected=f"the {group.copies} that the plan rents",
                remedy=f"add a line with group: {group.id}",
            )
        if number != group.copies:
            noun = "replica" if number == 1 else "replicas"
            notes.append(f"group {group.id}: {number} {noun}, the plan has {group.copies}; shares are settled anew")
    return notes
