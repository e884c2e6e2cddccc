"""The settings of the lab's server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from vlsbench.config import Option
from vlsbench.lab._faults import parse_rates


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a server behaves."""

    PANEL: ClassVar[str] = "Server"

    host: Annotated[str, Option("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Option("Port; 0 takes any free one and prints it.")] = 8700
    latency_s: Annotated[
        float, Option("Seconds to an answer; errors come at once.", ("--latency",), least=0)
    ] = 0.0
    faults: Annotated[
        Mapping[str, float],
        Option(
            "Rate of one fault, 0 to 1; may be repeated.",
            flags=("--fault",),
            metavar="NAME=RATE",
            parse=parse_rates,
        ),
    ] = field(default_factory=dict)
    each_fault: Annotated[
        float, Option("Rate of each fault not set by name.", ("--faults",), least=0)
    ] = 0.0
    seed: Annotated[int, Option("Decides which requests the faults strike.")] = 0
    retry_after_s: Annotated[
        float, Option("Seconds that a 429 asks for.", ("--retry-after",), least=0)
    ] = 0.1
    batch_s: Annotated[
        float, Option("Seconds from a batch's creation to its end.", ("--batch-time",), least=0)
    ] = 1.0
    names: Annotated[
        Mapping[str, str],
        Option(
            "Serve a model under a further name; may be repeated.",
            flags=("--model-name",),
            metavar="NAME=MODEL",
        ),
    ] = field(default_factory=dict)
    api_key: Annotated[
        str,
        Option(
            "Answer 401 to other keys.", unset="$VLSBENCH_LAB_KEY, or takes any key", secret=True
        ),
    ] = field(default="", repr=False)
    schemas: Annotated[
        bool, Option("Accept response_format, or answer 400 to it.", ("--schema/--no-schema",))
    ] = True
