"""What a training tells while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from vlsbench.aligning._settings import Progress


class Notes(TrainerCallback):
    """Appends what is logged to `metrics.jsonl`, and tells how far the training is."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self.path = path
        self.progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Write one line."""
        if state.is_world_process_zero and logs:
            numbers = {k: v for k, v in logs.items() if isinstance(v, int | float)}
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **numbers}) + "\n")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say so; the last step is logged whatever `log_steps` says."""
        if state.global_step >= state.max_steps:
            control.should_log = True
        if self.progress and state.is_world_process_zero:
            self.progress(state.global_step, state.max_steps)
