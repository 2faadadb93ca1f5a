"""API keys: who may ask, and how much. The file holds salted hashes; a key itself is shown once, when it is made.

A key is `sk-cuvee-NAME.SECRET`; the name finds its line, and the secret has 256 random bits, so that one SHA-256 with a
salt is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from cuvee.catalog.tables import parse_yaml
from cuvee.errors import InputError, kind_of
from cuvee.files import held_alone, read_text, write_atomic
from cuvee.plain_yaml import dump_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PREFIX = "sk-cuvee-"
PREFIX_BYTES = PREFIX.encode()
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
SECRET_BYTES = 32
EXPECTED = "a YAML file with version: 1 and keys: a list of name, salt and hash"
REMEDY = "have it made: cuvee api-key NAME --file keys.yaml"
LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency")
MINUTE_S = 60.0

NOBODY = hashlib.sha256(b"nobody").hexdigest()
"""What an unknown name is compared with, so that it takes as long as a known one."""


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes
        salt, hash             In hexadecimal; the hash is SHA-256 of salt and secret.
        requests_per_minute    Most requests [1/min]; None: as many as there are. A whole minute's may come at once.
        tokens_per_minute      The same of tokens of prompts and answers [1/min].
        concurrency            Most requests at once [-].
    """

    name: str
    salt: str
    hash: str
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


def new_key(name: str, **limits: int | None) -> tuple[str, Key]:
    """A key and its line; the key is not kept anywhere.

    Raises      InputError: a name with other characters than letters, digits, "_" and "-".
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"a key named {name!r}", expected="1 to 64 letters, digits, _ or -", remedy="choose another name"
        )
    secret, salt = secrets.token_hex(SECRET_BYTES), secrets.token_hex(16)
    digest = hashlib.sha256(bytes.fromhex(salt) + secret.encode()).hexdigest()
    return f"{PREFIX}{name}.{secret}", Key(name, salt, digest, **limits)


def add_key(path: Path, name: str, **limits: int | None) -> str:
    """Add a key to the file at `path`, which is made where it is missing; returns the key."""
    with held_alone(path, "wait until it is done"):
        keys = list(load_keys(path)) if path.exists() else []
        if any(key.name == name for key in keys):
            raise InputError(f"{path}: there is a key {name!r}", expected="a new name", remedy="choose another name")
        text, key = new_key(name, **limits)
        lines = [{field: value for field, value in vars(each).items() if value is not None} for each in [*keys, key]]
        write_atomic(path, dump_yaml({"version": 1, "keys": lines}))
    return text


def load_keys(path: Path | str) -> tuple[Key, ...]:
    """Keys of a file.

    Raises      InputError: not such a file. No message holds a hash.
    """
    record = parse_yaml(read_text(path), str(path), EXPECTED, REMEDY)
    if not isinstance(record, dict) or record.keys() != {"version", "keys"} or record["version"] != 1:
        raise InputError(f"{path}: {kind_of(record)}", expected=EXPECTED, remedy=REMEDY)
    if not isinstance(record["keys"], list):
        raise InputError(f"{path}: keys is {kind_of(record['keys'])}", expected=EXPECTED, remedy=REMEDY)
    keys = tuple(_key(each, f"{path}: keys.{place}") for place, each in enumerate(record["keys"]))
    if len({key.name for key in keys}) < len(keys):
        raise InputError(f"{path}: a name twice", expected="each key once", remedy="take one of them out")
    return keys


def _key(each: Any, where: str) -> Key:  # noqa: ANN401 any YAML value
    if not isinstance(each, dict) or not {"name", "salt", "hash"} <= each.keys() <= {"name", "salt", "hash", *LIMITS}:
        raise InputError(f"{where}: {kind_of(each)}", expected=EXPECTED, remedy=REMEDY)
    is_hex = all(
        isinstance(each[field], str) and re.fullmatch(rf"[0-9a-f]{{{length}}}", each[field])
        for field, length in (("salt", 32), ("hash", 64))
    )
    if not isinstance(each["name"], str) or not NAME.fullmatch(each["name"]) or not is_hex:
        raise InputError(f"{where}: name, salt or hash of another form", expected=EXPECTED, remedy=REMEDY)
    for field in LIMITS:
        value = each.get(field)
        if value is not None and (type(value) is not int or value < 1):
            raise InputError(f"{where}: {field} = {value!r}", expected="a whole number of 1 or more", remedy=REMEDY)
    return Key(**each)


class Bucket:
    """An allowance that fills up evenly, to a minute's worth at most."""

    __slots__ = ("left", "per_minute", "seen_s")

    def __init__(self, per_minute: float, now_s: float) -> None:
        self.per_minute = per_minute
        self.left = per_minute
        self.seen_s = now_s

    def wait_s(self, now_s: float, amount: float) -> float:
        """How long until `amount` is there, 0 where it is [s]; more than a minute's worth only needs a full bucket."""
        self.left = min(self.left + (now_s - self.seen_s) * self.per_minute / MINUTE_S, self.per_minute)
        self.seen_s = now_s
        return max(min(amount, self.per_minute) - self.left, 0.0) * MINUTE_S / self.per_minute


class Account:
    """What one key has used."""

    __slots__ = ("digest", "is_limited", "key", "requests", "salted", "tokens", "under_way")

    def __init__(self, key: Key, now_s: float) -> None:
        self.key = key
        self.is_limited = any(getattr(key, field) is not None for field in LIMITS)
        self.salted, self.digest = hashlib.sha256(bytes.fromhex(key.salt)), bytes.fromhex(key.hash)
        self.under_way = 0
        self.requests = None if key.requests_per_minute is None else Bucket(key.requests_per_minute, now_s)
        self.tokens = None if key.tokens_per_minute is None else Bucket(key.tokens_per_minute, now_s)

    def is_secret(self, secret: bytes) -> bool:
        """Whether `secret` is this key's; takes as long whether it is or not."""
        found = self.salted.copy()
        found.update(secret)
        return hmac.compare_digest(found.digest(), self.digest)

    def wait_s(self, now_s: float, tokens: int) -> float:
        """How long a request of so many tokens has to wait, 0 where it may begin [s]."""
        if self.key.concurrency is not None and self.under_way >= self.key.concurrency:
            return 1.0
        wait_s = 0.0
        if self.requests is not None:
            wait_s = self.requests.wait_s(now_s, 1.0)
        if self.tokens is not None:
            wait_s = max(wait_s, self.tokens.wait_s(now_s, tokens))
        return wait_s

    def begin(self, tokens: int) -> None:
        """Book a request of so many tokens, those of its answer as they are expected."""
        self.under_way += 1
        if self.requests is not None:
            self.requests.left -= 1.0
        if self.tokens is not None:
            self.tokens.left -= tokens

    def end(self, more_tokens: int) -> None:
        """It is over, and took so many more tokens than booked."""
        self.under_way -= 1
        if self.tokens is not None:
            self.tokens.left -= more_tokens


class Accounts:
    """All keys, and what each has used.

    Parameters
        processes    Gateways that share the keys: each allows its part.
    """

    def __init__(self, keys: Iterable[Key], *, processes: int = 1) -> None:
        now_s = monotonic()
        self._nobody = Account(Key("", "00" * 16, NOBODY), now_s)
        self.by_name: Mapping[str, Account] = {key.name: Account(_part(key, processes), now_s) for key in keys}

    def find(self, authorization: bytes) -> Account | None:
        """The account of an Authorization header; None where the key is not known."""
        lead, _, text = authorization.partition(PREFIX_BYTES)
        if lead.lower() != b"bearer ":
            return None
        name, _, secret = text.partition(b".")
        account = self.by_name.get(name.decode("latin-1"))
        # An unknown name takes as long as a known one.
        return account if (account or self._nobody).is_secret(secret) else None

    def adopt(self, old: Accounts) -> None:
        """Go on with what each key has used, unless it is another key now."""
        kept = {
            name: old.by_name[name]
            for name, account in self.by_name.items()
            if name in old.by_name and old.by_name[name].key == account.key
        }
        self.by_name = {**self.by_name, **kept}


def _part(key: Key, processes: int) -> Key:
    """What one of `processes` allows of a key."""
    limits = {field: getattr(key, field) for field in LIMITS}
    return replace(key, **{field: value and max(value // processes, 1) for field, value in limits.items()})
