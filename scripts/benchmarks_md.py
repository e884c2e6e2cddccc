"""Write the part of docs/benchmarks.md that is made from the declarations of the sources.

    python scripts/benchmarks_md.py          # rewrite the page
    python scripts/benchmarks_md.py --check  # say whether it is as the declarations have it

tests/pairs/test_benchmarks_md.py holds the two equal.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from vlsbench.pairs import METRICS, Source, list_sources
from vlsbench.text import markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BEGIN = "<!-- made by scripts/benchmarks_md.py from the declarations: change those -->\n"
END = "<!-- end of what is made from the declarations -->\n"


def table(sources: list[Source]) -> Iterator[str]:
    """Yield the lines of the overview."""
    yield "| name | what it probes | pairs | read by | licence | paper |"
    yield "| --- | --- | ---: | --- | --- | --- |"
    for one in sources:
        count = next(iter(one.rows.values()), 0)
        pairs = f"{count:,}" if count else "–"
        metric = {"both": "safety, over-refusal"}.get(one.metric, one.metric)
        cells = (f"[`{one.name}`](#{one.name})", one.probes, pairs, metric, one.licence, one.paper)
        yield f"| {' | '.join(cells)} |"


def section(one: Source) -> Iterator[str]:
    """Yield the lines about one benchmark."""
    home = one.home
    assert home, one.name
    place = f"huggingface.co/datasets/{home.hub}" if home.hub else f"github.com/{home.github}"
    pinned = home.revision or home.commit
    at = f"`{pinned[:12]}`" if pinned else "the commit that the first fetch finds, which is kept"
    yield f"### {one.name}"
    yield ""
    yield f"**{one.title}** ([arXiv {one.paper}](https://arxiv.org/abs/{one.paper})): {one.probes}."
    yield ""
    yield f"- Holds: {markdown(one.size)}."
    if one.caution:
        yield f"- Caution: {markdown(one.caution)}."
    yield f"- Read by: {METRICS[one.metric]}."
    yield f"- Licence: {one.licence}. Home: [{place}](https://{place}) at {at}."
    yield f"- `--data DIR` holds: {markdown(one.layout)}."
    if one.variants:
        yield ""
        yield "| variant | pairs | holds |"
        yield "| --- | ---: | --- |"
        for name, about in one.variants.items():
            count = one.rows[name]
            yield f"| `{one.name}:{name}` | {f'{count:,}' if count else '–'} | {about} |"
    yield ""
    yield "<!-- test: check: public data -->"
    yield "```sh"
    yield f"vlsbench bench show {one.name} --data DIR"
    yield f"vlsbench eval {one.name} --data DIR --model openai/gpt-4o --judge openai/gpt-4o"
    yield "```"
    yield ""


def made() -> str:
    """Return what is made from the declarations."""
    sources = [one for one in list_sources().values() if one.home]
    lines = [*table(sources), ""]
    for one in sources:
        lines += section(one)
    return "\n".join(lines)


def page(before: str) -> str:
    """Return the page with its made part made anew; `ValueError` where its marks are gone."""
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} lacks the lines {BEGIN.strip()} and {END.strip()}")
    return f"{head}{BEGIN}\n{made()}{END}{tail}"


def main() -> None:
    """Rewrite or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    only_check = parser.parse_args().check
    before = PAGE.read_text("utf-8")
    after = page(before)
    if only_check and before != after:
        sys.exit(f"{PAGE.name} is not as the declarations have it: python scripts/benchmarks_md.py")
    if not only_check:
        PAGE.write_text(after, "utf-8")


if __name__ == "__main__":
    main()
