"""Which worker of how many this process is, as TF_CONFIG says; without TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from keras_acn._base.errors import UserError

_LIKE = (
    '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run.

    Attributes:
      addresses: `host:port` of each worker, the chief's first.
      rank: Which of them this process is.
    """

    addresses: tuple[str, ...]
    rank: int

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the run folder."""
        return self.rank == 0


def from_environment(environ: Mapping[str, str] | None = None) -> Cluster | None:
    """Return the `Cluster` that TF_CONFIG describes; `None` for a worker on its own.

    Raises:
      UserError: If TF_CONFIG is not as TensorFlow's workers need it.
    """
    text = (os.environ if environ is None else environ).get("TF_CONFIG", "").strip()
    if not text:
        return None
    try:
        given = json.loads(text)
        jobs, task = dict(given.get("cluster") or {}), dict(given.get("task") or {})
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"TF_CONFIG is no JSON object that describes workers: set it to one like {_LIKE}, or "
            "unset it."
        ) from error
    if not jobs:
        return None
    foreign = sorted(set(jobs) - {"chief", "worker"})
    if foreign:
        raise UserError(
            f'TF_CONFIG has tasks of type "{foreign[0]}", and only "worker" (and "chief") train '
            "here: leave the others out of the cluster."
        )
    lists = {job: _addresses(jobs[job]) for job in ("chief", "worker") if jobs.get(job)}
    if len(lists.get("chief", [])) > 1:
        raise UserError(
            "TF_CONFIG has more than one chief: leave one, and make the others workers."
        )
    addresses = tuple(address for job in ("chief", "worker") for address in lists.get(job, []))
    if len(set(addresses)) < len(addresses):
        raise UserError("TF_CONFIG gives two workers the same address: give each its own port.")
    kind = task.get("type")
    index: int | None
    try:
        index = int(task["index"])
    except (KeyError, TypeError, ValueError):
        index = None
    if kind not in lists or index is None or not 0 <= index < len(lists[kind]):
        raise UserError(
            f"TF_CONFIG calls this process {kind} {task.get('index')}, which is none of its "
            f"{len(addresses)} workers: task.index counts each type's addresses from 0."
        )
    rank = index + (len(lists.get("chief", [])) if kind == "worker" else 0)
    return Cluster(addresses, rank) if len(addresses) > 1 else None


def _addresses(given: Any) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise UserError(f"TF_CONFIG must list its workers' addresses: set it to one like {_LIKE}.")
    for address in given:
        port = address.rpartition(":")[2]
        if ":" not in address or not port.isdigit() or not 0 < int(port) < 65536:
            raise UserError(
                f'TF_CONFIG has the address "{address}", which is no host:port: give each worker '
                "a port from 1 to 65535."
            )
    return given


def check_port(cluster: Cluster) -> None:
    """Raise `UserError` if this worker's port is taken.

    TensorFlow would share the port with whoever has it, and then wait for its peers.
    """
    address = cluster.addresses[cluster.rank]
    port = int(address.rpartition(":")[2])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            reason = str(error.strerror).lower()
            raise UserError(
                f"Port {port} of this worker, {address}, is in use ({reason}): "
                "choose another, or end what uses it, perhaps a worker of an earlier run."
            ) from error
