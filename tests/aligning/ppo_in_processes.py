"""One training by PPO, to be launched in one process or several.

    python -m tests.aligning.ppo_in_processes TINY OUT '{"reward": "says_no", "max_steps": 4, …}'

With `"likeliest": true` the answers are the likeliest ones, so that they do not depend on which
process draws them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from accelerate import PartialState

from tests.aligning.align_examples import FAST, by_length, says_no, unlike_rows
from vlsbench.aligning import Reward, TrainingSettings, train

REWARDS: dict[str, Reward] = {
    "says_no": says_no,
    "by_length": by_length,
    "against_length": lambda rows, answers: [-earned for earned in by_length(rows, answers)],
}


def ask_for_the_likeliest() -> None:
    from transformers import LlavaForConditionalGeneration

    sample = LlavaForConditionalGeneration.generate

    def likeliest(self: Any, **options: Any) -> Any:
        return sample(self, **options | {"do_sample": False, "temperature": 1.0, "top_k": None})

    LlavaForConditionalGeneration.generate = likeliest  # type: ignore[method-assign]


def main(tiny: Path, out: Path, given: str) -> None:
    """Train as the arguments say; every process prints how many there are."""
    options = json.loads(given)
    reward = REWARDS[options.pop("reward")]
    if options.pop("likeliest", False):
        ask_for_the_likeliest()
    settings = TrainingSettings(**(FAST | {"max_new_tokens": 4, "log_steps": 1} | options))
    train("mm-ppo", model=tiny, rows=unlike_rows(), out=out, settings=settings, reward=reward)
    print(PartialState().num_processes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
