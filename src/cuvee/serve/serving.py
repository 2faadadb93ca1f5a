"""A plan and its replicas as the gateway serves them: made as a whole, on load and on every reload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cuvee.errors import InputError
from cuvee.plan.evaluation.evaluation import best_shares, read_fleet
from cuvee.plan.outcome.fingerprint import fingerprint
from cuvee.routing.online import AnswerLengths, TypeOf
from cuvee.routing.targets import cache_tokens, steady_sequences
from cuvee.serve.admission import Line
from cuvee.serve.promises import Promises
from cuvee.serve.prompts import PromptLengths
from cuvee.serve.replica import GONE, Replica
from cuvee.serve.router import Router

if TYPE_CHECKING:
    from cuvee.plan.evaluation.evaluation import Fleet
    from cuvee.plan.outcome.result import Plan
    from cuvee.serve.keys import Accounts
    from cuvee.serve.options import ServeOptions
    from cuvee.serve.replicas_file import Deployment, ReplicaAddress


class ServedState:
    """What is known of one model: its types, and what its requests taught.

    Attributes
        names      As clients call it, the first for /v1/models.
        rows       Rows of the plan that are this model's.
        line       Requests that wait.
    """

    def __init__(
        self, model: str, names: tuple[str, ...], types: TypeOf, rows: list[int], tokenizer: str, most_waiting: int
    ) -> None:
        self.model = model
        self.names = names
        self.types = types
        self.rows = rows
        self.tokenizer = tokenizer
        self.prompts = PromptLengths(tokenizer)
        self.answers = AnswerLengths()
        self.line: Line[Any] = Line(most_waiting)


@dataclass
class Serving:
    """Everything that a reload replaces.

    Attributes
        models          By each name that clients may use.
        row_names       Model and workload type of each row.
        groups          Ids of the groups.
        planned         Shares of the plan, by row and group [-].
        copies          Replicas of each group that the plan has [-].
        promises        Latencies of each row on each group.
        notes           What is to be known of the files.
        fingerprint     Of the plan: counting starts anew where a reload changes it.
        accounts        Keys and what they have used; None where anybody may ask.
    """

    plan: Plan
    router: Router
    replicas: list[Replica]
    models: dict[str, ServedState]
    row_names: list[tuple[str, str]]
    groups: list[str]
    planned: list[list[float]]
    copies: list[int]
    fleet: Fleet
    promises: Promises
    notes: tuple[str, ...]
    fingerprint: str
    accounts: Accounts | None = None

    def adopt(self, old: Serving) -> list[Replica]:
        """Go on where `old` was: with its connections, its load, and what it learnt; returns replicas that are gone."""
        known = {each.address.url: each for each in old.replicas}
        for place, fresh in enumerate(self.replicas):
            kept = known.pop(fresh.address.url, None)
            if kept is not None:
                self.router.carry(place, old.router, kept.place)
                kept.become(fresh.address)
                self.replicas[place] = kept
        for replica in known.values():
            replica.place = GONE
        for place, replica in enumerate(self.replicas):
            replica.place = place
        if self.accounts is not None and old.accounts is not None:
            self.accounts.adopt(old.accounts)
        learnt = {state.model: state for state in old.models.values()}
        for state in {id(each): each for each in self.models.values()}.values():
            before = learnt.get(state.model)
            if before is not None:
                state.answers = before.answers
                if before.tokenizer == state.tokenizer:
                    state.prompts = before.prompts
        return list(known.values())

    def is_as_planned(self) -> bool:
        """Whether every group has the replicas that the plan gives it, all of them up."""
        return self.copies == self.num_up() == [self.router.group_of.count(group) for group in range(len(self.groups))]

    def num_up(self) -> list[int]:
        """Replicas of each group that are up [-]."""
        router = self.router
        return [sum(router.is_up[router.first[group] : router.first[group + 1]]) for group in range(len(self.groups))]

    def shares_for(self, num_up: list[int]) -> list[list[float]]:
        """Shares with so many replicas up of each group: the plan's own, or those that then sustain most [-]."""
        if num_up == self.copies or not any(num_up):
            return self.planned
        fleet = self.fleet
        found = best_shares(fleet.rate, fleet.demand_req_per_s, np.array(num_up, dtype=float))
        shares: list[list[float]] = found.T.tolist()
        return shares


def serving_of(plan: Plan, deployment: Deployment, options: ServeOptions, *, processes: int = 1) -> Serving:
    """What `plan` comes to on the replicas of `deployment`; one of `processes` that share them.

    Raises      InputError: no fleet in the plan, or one that prefills and decodes apart.
    """
    if not plan.has_plan:
        raise InputError(
            f"a plan without a fleet ({plan.termination})", expected="one that rents something", remedy="plan again"
        )
    fleet = read_fleet(plan)
    groups = [group.id for group in plan.groups]
    replicas = [Replica(address, options.connect_s) for address in deployment.replicas]
    group_of = [groups.index(replica.group) for replica in replicas]
    for place, replica in enumerate(replicas):
        replica.place = place
    planned = fleet.shares.T.tolist()
    router = _router(plan, deployment.replicas, planned, group_of, options, processes)
    models = {}
    for served in deployment.models:
        entry = next(each for each in plan.inputs.problem.models if each.model.name == served.model)
        rows = [index for index, row in enumerate(plan.assignment) if row.model == served.model]
        places = {plan.assignment[row].workload: row for row in rows}
        types = TypeOf(entry.demand, [places[kind.name] for kind in entry.demand.types])
        most_waiting = -(-options.queue // processes)
        state = ServedState(served.model, served.names, types, rows, served.tokenizer, most_waiting)
        models.update(dict.fromkeys(served.names, state))
    copies = [group.copies for group in plan.groups]
    row_names = [(row.model, row.workload) for row in plan.assignment]
    found = Serving(
        plan,
        router,
        replicas,
        models,
        row_names,
        groups,
        planned,
        copies,
        fleet,
        Promises(plan),
        deployment.notes,
        fingerprint(plan),
    )
    router.shares = found.shares_for(found.num_up())
    return found


def _router(
    plan: Plan,
    addresses: tuple[ReplicaAddress, ...],
    shares: list[list[float]],
    group_of: list[int],
    options: ServeOptions,
    processes: int,
) -> Router:
    """The router: a replica is full with the sequences of the plan's steady batch, or with those it is said to take."""
    steady: list[list[float]] = steady_sequences(plan).tolist()  # plain floats: the router is no array code
    occupies, most = [[0.0] * len(addresses) for _ in shares], []
    for place, (address, group) in enumerate(zip(addresses, group_of, strict=True)):
        limit = address.max_concurrency
        most.append(float("inf") if limit is None else max(limit / processes, 1.0))
        for row in range(len(shares)):
            if steady[row][group] > 0:
                held = steady[row][group] if limit is None else min(steady[row][group], limit)
                occupies[row][place] = processes / held
    return Router(shares, occupies, group_of, most, options.fullness, len(plan.groups), cache_tokens(plan))
