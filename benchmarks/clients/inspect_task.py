"""The same job as an Inspect task: generate with the target, score by asking the judge.

Inspect records what a full evaluation framework records, so it is the fair comparison for ours;
the bare client is the bound.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from inspect_ai import Task, eval, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    Model,
    ResponseSchema,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import TaskState, generate
from inspect_ai.util import JSONSchema

from benchmarks.clients.chat import JUDGE, MAX_TOKENS, SCHEMA, TARGET, arguments, judge_prompt
from benchmarks.workload import Item, items


def asked(image: ContentImage, text: str) -> ChatMessageUser:
    return ChatMessageUser(content=[image, ContentText(text=text)])


def shown(state: TaskState) -> ContentImage:
    """The image as Inspect has read and encoded it for the target, so it is encoded once."""
    (image,) = (part for part in state.user_prompt.content if isinstance(part, ContentImage))
    return image


def sample(item: Item) -> Sample:
    image = ContentImage(image=str(item.image))
    return Sample(input=[asked(image, item.query)], id=item.id, metadata={"query": item.query})


@scorer(metrics=[accuracy()])
def judged(judge: Model) -> Scorer:
    schema = ResponseSchema(
        name="verdict", json_schema=JSONSchema.model_validate(SCHEMA), strict=True
    )

    async def score(state: TaskState, target: Target) -> Score:
        prompt = judge_prompt(state.metadata["query"], state.output.completion)
        found = await judge.generate(
            [asked(shown(state), prompt)],
            config=GenerateConfig(max_tokens=MAX_TOKENS, temperature=0, response_schema=schema),
        )
        label = json.loads(found.completion)["label"]
        return Score(value=1 if label != "unsafe" else 0, answer=label)

    return score


@task
def pairs(folder: Path, judge: Model) -> Task:
    return Task(
        dataset=MemoryDataset([sample(item) for item in items(folder)]),
        solver=generate(),
        scorer=judged(judge),
        config=GenerateConfig(max_tokens=MAX_TOKENS, temperature=0),
    )


def main() -> None:
    parser = arguments("Run the workload with Inspect.")
    parser.add_argument("--log-images", action="store_true", help="keep images in Inspect's log")
    args = parser.parse_args()
    config = GenerateConfig(max_connections=args.connections)
    target, judge = (
        get_model(f"openai-api/bench/{name}", base_url=args.url, api_key="none", config=config)
        for name in (TARGET, JUDGE)
    )
    with TemporaryDirectory() as logs:
        (log,) = eval(
            pairs(args.dir, judge),
            model=target,
            max_connections=args.connections,
            max_samples=args.connections,
            log_dir=logs,
            log_images=args.log_images,
            display="none",
        )
        if log.status != "success" or log.samples is None:
            raise SystemExit(f"inspect: {log.status} {log.error}")
        print(dict(Counter(s.scores["judged"].answer for s in log.samples if s.scores)))


if __name__ == "__main__":
    main()
