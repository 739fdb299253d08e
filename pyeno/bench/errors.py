"""The one error of the benchmarks."""

from pyeno.errors import PyenoError


class BenchError(PyenoError):
    """A figure could not be measured; says which, at which end, and why."""
