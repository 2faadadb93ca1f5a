"""What the gateway allows itself and its clients: sizes, times, numbers."""

from dataclasses import dataclass, fields, replace

from cuvee.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Limits of the gateway; the command line reads its defaults from here.

    Attributes
        head_bytes             Largest head of a request: request line and headers [bytes].
        body_bytes             Largest body [bytes].
        buffered_bytes         Bodies held at once, over all connections [bytes].
        head_s                 Longest time a client may take over a head [s].
        body_s                 The same over a body [s].
        idle_s                 How long a connection without a request is kept [s].
        connect_s              Longest wait for a connection to a replica [s].
        first_byte_s           Longest wait for a reply to begin [s].
        silent_s               Longest pause within a reply [s].
        stalled_s              How long a client may take nothing of what is held for it [s].
        queue                  Requests of a model that may wait for room on a replica [-].
        queue_s                Longest wait of one [s].
        fullness               Load of a replica, 1 where the plan has it saturated, from which requests wait [-].
        attempts               Replicas that one request is tried on, while its client has had no byte [-].
        retry_share            Retries over requests that are allowed in the long run [-]; the first ten are free.
        connections            Clients at once [-].
        probe_s                Time between two probes of a replica [s], and the longest a probe may take.
        failures               Failures in a row from which a replica is left out [-].
        backoff_s              How long at first [s]; twice as long each further time, up to `most_backoff_s`.
        drain_s                Longest time that requests under way get when the gateway is to end [s].
        engine_metrics_s       Time between two looks at the metrics of an engine [s]; 0: none.
    """

    head_bytes: int = 32_768
    body_bytes: int = 32_000_000
    buffered_bytes: int = 1_000_000_000
    head_s: float = 10.0
    body_s: float = 60.0
    idle_s: float = 75.0
    connect_s: float = 2.0
    first_byte_s: float = 600.0
    silent_s: float = 300.0
    stalled_s: float = 600.0
    queue: int = 1000
    queue_s: float = 30.0
    fullness: float = 1.25
    attempts: int = 3
    retry_share: float = 0.2
    connections: int = 20_000
    probe_s: float = 2.0
    failures: int = 3
    backoff_s: float = 1.0
    most_backoff_s: float = 60.0
    drain_s: float = 30.0
    engine_metrics_s: float = 10.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value, least = getattr(self, each.name), 0 if each.name in MAY_BE_NOTHING else 1e-3
            if not least <= value < float("inf"):
                raise InputError(
                    f"{each.name} = {value!r}", expected=f"a number of {least:g} or more", remedy="cuvee serve --help"
                )

    def hurried(self) -> "ServeOptions":
        """The same without time to finish anything."""
        return replace(self, drain_s=0.0)


MAY_BE_NOTHING = frozenset({"queue", "retry_share", "drain_s", "engine_metrics_s"})
"""Limits that may be 0."""
