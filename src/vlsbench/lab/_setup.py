"""The settings of the lab's server."""

from __future__ import annotations

from collections.abc import Mapping

from vlsbench.config import option, settings
from vlsbench.lab._faults import parse_rates


@settings(panel="Server")
class Setup:
    """How a server behaves."""

    host: str = option("Address to listen on.", default="127.0.0.1")
    port: int = option("Port; 0 takes any free one and prints it.", default=8700)
    latency_s: float = option(
        "Seconds to an answer; errors come at once.", default=0.0, flags=("--latency",), least=0
    )
    faults: Mapping[str, float] = option(
        "Rate of one fault, 0 to 1; may be repeated.",
        default_factory=dict,
        flags=("--fault",),
        metavar="NAME=RATE",
        parse=parse_rates,
    )
    each_fault: float = option(
        "Rate of each fault not set by name.", default=0.0, flags=("--faults",), least=0
    )
    seed: int = option("Decides which requests the faults strike.", default=0)
    retry_after_s: float = option(
        "Seconds that a 429 asks for.", default=0.1, flags=("--retry-after",), least=0
    )
    batch_s: float = option(
        "Seconds from a batch's creation to its end.", default=1.0, flags=("--batch-time",), least=0
    )
    names: Mapping[str, str] = option(
        "Serve a model under a further name; may be repeated.",
        default_factory=dict,
        flags=("--model-name",),
        metavar="NAME=MODEL",
    )
    api_key: str = option(
        "Answer 401 to other keys.",
        default="",
        unset="$VLSBENCH_LAB_KEY, or takes any key",
        secret=True,
    )
    schemas: bool = option(
        "Accept response_format, or answer 400 to it.",
        default=True,
        flags=("--schema/--no-schema",),
    )
