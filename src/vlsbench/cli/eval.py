"""Run a model over a benchmark and judge its replies."""

from __future__ import annotations

from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped, need_scored
from vlsbench.cli._print import print_json
from vlsbench.config import values_of
from vlsbench.evaluation import EvalConfig


@command(EvalConfig)
def eval(config: EvalConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Run a model over a benchmark and judge its replies.

    The same command resumes where it stopped, and costs nothing where it is done.

    **Examples**

    - `vlsbench eval vlsbench --model openai/gpt-4o --judge openai/gpt-4o`

    - `vlsbench eval figstep:tiny --model llava@http://localhost:8000/v1 --judge offline`

    - `vlsbench eval lab/leakless --controls lab/benign --model lab/blind --judge lab`

    - `vlsbench eval ./my.jsonl --columns query=prompt --model openai/gpt-4o --judge openai/gpt-4o
      --limit 50 --max-cost 2`

    - `vlsbench eval vlsbench --replies llava_outputs.json --judge openai/gpt-4o`

    - `vlsbench eval --config eval.toml --limit 20 --print-config`
    """
    from vlsbench import evaluation
    from vlsbench.cli._tables import carried_out, print_summary
    from vlsbench.pairs import load

    settings = values_of(config)
    bench, data, controls = (settings.pop(name) for name in ("bench", "data", "controls"))
    pairs = load(bench, **values_of(data), skip_bad=config.sample.skip_bad, controls=controls)
    done = carried_out(evaluation.plan(pairs, **settings), quiet=quiet, dry_run=dry_run)
    if done is None:
        return
    if as_json:
        print_json(done.summary)
    else:
        print_summary(done)
    end_if_stopped(done.stopped)
    need_scored(done.scored, "pair", done.pairs)
