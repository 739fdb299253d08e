"""A relay's counters for Prometheus, on a loopback address (pyeno[metrics])."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pyeno.errors import KernelError
from pyeno.relay.configfile_service import endpoint

if TYPE_CHECKING:
    from prometheus_client import Metric

Counters = Callable[[], dict[str, Any]]
"""as :meth:`pyeno.relay.Relay.counters` tells them"""


def families(counters: Mapping[str, Any]) -> "Iterator[Metric]":
    """What they are called there, and how they are labelled."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    def counted(name: str, what: str, label: str, values: Mapping[str, int]) -> "Metric":
        family = CounterMetricFamily(f"pyeno_relay_{name}", what, labels=[label])
        for value, count in sorted(values.items()):
            family.add_metric([value], count)
        return family

    labels = ("direction", "tep", "reason")
    opened = CounterMetricFamily(
        "pyeno_relay_connections",
        "Connections opened: with a TEP, encrypted; with a reason, plain.",
        labels=labels,
    )
    for kind in counters["connections"]:
        opened.add_metric([kind[label] or "" for label in labels], kind["count"])
    yield opened
    active = GaugeMetricFamily(
        "pyeno_relay_active", "Connections now, by state.", labels=["state"]
    )
    for state in ("opening", "open"):
        active.add_metric([state], counters[state])
    yield active
    moved = {"in": counters["bytes_in"], "out": counters["bytes_out"]}
    yield counted("bytes", "Application bytes from peers (in) and to them.", "way", moved)
    yield counted("ends", "Connections that ended, by how.", "end", counters["ends"])
    yield counted("refused", "Connections never opened, by why.", "why", counters["refused"])
    for name, what in (
        ("resumed", "Encrypted connections that resumed a session."),
        ("handshake_failures", "Connections that negotiated encryption and agreed on no keys."),
    ):
        yield CounterMetricFamily(f"pyeno_relay_{name}", what, value=counters[name])


class Collector:
    """What prometheus_client asks for each scrape."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._bytes = {"bytes_in": 0, "bytes_out": 0}

    def collect(self) -> "Iterator[Metric]":
        """A connection that ends just now may be missed, which would look like a relay
        that began anew."""
        now = self._counters()
        self._bytes = {way: max(least, now[way]) for way, least in self._bytes.items()}
        return families(now | self._bytes)


@contextlib.contextmanager
def served(address: str | None, counters: Counters) -> Iterator[None]:
    """Answer scrapes there, in threads; None: nobody wants to know.

    Raises KernelError if the port is in use, or the like.
    """
    if address is None:
        yield
        return
    from prometheus_client import CollectorRegistry, start_http_server

    host, port = endpoint(address)
    registry = CollectorRegistry()
    registry.register(Collector(counters))
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise KernelError(
            error.errno, f"metrics.address: {address}: {error.strerror}; choose another port"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
