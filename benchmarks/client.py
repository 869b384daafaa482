"""Load from several clients: processes with one open connection that send one request at a time."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

Latencies = list[float]


@dataclass(frozen=True)
class Load:
    """The requests: ``POST path`` once per JSON body (bytes). An error answer is not allowed."""

    host: str
    port: int
    path: str
    headers: Mapping[str, str]
    bodies: Sequence[bytes]


@dataclass(frozen=True)
class Measured:
    """Requests per second, and latencies in milliseconds.

    ``client`` is the share of time that the busiest client spent computing; near 1 it would be the
    bottleneck. ``cpu_ms`` is the service's CPU time per request, which other programs on the
    machine change little; 0 if it was not measured.
    """

    rate: float
    p50: float
    p95: float
    client: float
    cpu_ms: float = 0.0


def run(load: Load, clients: int) -> Measured:
    """Distribute the bodies among the clients, which start at the same time."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for number in range(clients):
        ours, theirs = context.Pipe()
        share = Load(**{**vars(load), "bodies": load.bodies[number::clients]})
        process = context.Process(target=_client, args=(share, theirs), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)
    try:
        for pipe in pipes:
            pipe.recv()
        started = time.perf_counter()
        for pipe in pipes:
            pipe.send("go")
        answers = [pipe.recv() for pipe in pipes]
        elapsed = time.perf_counter() - started
    finally:
        for process in processes:
            process.terminate()
            process.join()
    for answer in answers:
        if isinstance(answer, str):
            raise RuntimeError(answer)
    latencies = np.concatenate([latency for latency, _ in answers]) * 1000
    p50, p95 = np.percentile(latencies, [50, 95])
    busiest = max(busy for _, busy in answers) / elapsed
    return Measured(len(latencies) / elapsed, float(p50), float(p95), busiest)


def _client(load: Load, pipe: Connection) -> None:
    try:
        pipe.send("ready")
        pipe.recv()
        busy = time.process_time()
        latencies = _ask_all(load)
        pipe.send((np.array(latencies), time.process_time() - busy))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


def _ask_all(load: Load) -> Latencies:
    connection = http.client.HTTPConnection(load.host, load.port, timeout=60)
    headers = {"Content-Type": "application/json", **load.headers}
    latencies = []
    for body in load.bodies:
        started = time.perf_counter()
        connection.request("POST", load.path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        latencies.append(time.perf_counter() - started)
        _check(response.status, answer)
    connection.close()
    return latencies


def _check(status: int, answer: bytes) -> None:
    body: dict[str, Any] = json.loads(answer)
    # The legacy API always answers status 200; its body contains the real status.
    if status >= 300 or body.get("code", 200) != 200:
        raise RuntimeError(f"HTTP {status}: {answer[:300].decode()}")
