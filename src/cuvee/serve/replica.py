"""One replica as the gateway knows it: its address, its connections, its health. It outlives a reload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cuvee.serve.upstream import Pool

if TYPE_CHECKING:
    from cuvee.serve.replicas_file import ReplicaAddress
    from cuvee.serve.request import Request

GONE = -1
"""Place of a replica that no plan has any more."""


class Replica:
    """A replica.

    Attributes
        place             Its number in the router; `GONE` once a reload has dropped it.
        held              Requests that it has [-].
        is_up             Whether it is thought to be healthy.
        failures          Failures in a row.
        num_ejections     Times in a row that it was left out without a good answer in between: the backoff grows by it.
        up_at_s           When it may be tried again, while it is down.
        engine            What its engine says of itself, where it is asked; see `engine_metrics`.
        num_requests, num_failures, num_ejected    Since the start.
    """

    def __init__(self, address: ReplicaAddress, connect_s: float) -> None:
        self.place = GONE
        self.pool = Pool(address, connect_s)
        self.held = 0
        self.is_up = True
        self.failures = self.num_ejections = 0
        self.up_at_s = 0.0
        self.engine: dict[str, float] = {}
        self.num_requests = self.num_failures = self.num_ejected = 0
        self.become(address)

    def become(self, address: ReplicaAddress) -> None:
        """Take what an address says of the same url: its group, its name, its key."""
        self.address = address
        self.group = address.group
        self.root = address.root.encode()
        host = f"[{address.host}]" if ":" in address.host else address.host
        host_line = b"host: %b:%d\r\n" % (host.encode("idna" if not host.isascii() else "ascii"), address.port)
        key = b"authorization: Bearer %b\r\n" % address.api_key.encode() if address.api_key else b""
        self.has_key = bool(key)
        self.own_head = host_line + key
        self._host = host_line
        self.reply_head = b"x-cuvee-group: %b\r\n" % self.group.encode()

    @property
    def name(self) -> str:
        """For logs and metrics."""
        return self.address.name

    def head_of(self, request: Request) -> bytes:
        """Header lines of a request that are this replica's own; the client's key where it has none of its own."""
        if request.authorization and not self.has_key:
            return b"%bauthorization: %b\r\n" % (self._host, request.authorization)
        return self.own_head
