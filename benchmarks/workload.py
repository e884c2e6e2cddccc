"""Makes the pairs that every benchmark runs on: harmless, and the size of real ones.

An imagefolder (`metadata.jsonl` beside `images/`) of N pairs. Large images are 1,024×1,024 PNG of
about 1.7 MB, the mean size in the VLSBench release; small ones are about 2 KB, for runs where only
the number of pairs matters. Queries carry the pair's number, so the server can tell them apart
without parsing a body.

    python -m benchmarks.workload DIR --pairs 500
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BASES = 8
"""Images that are really drawn and compressed; the others differ from them by a comment chunk."""
NOISY_ROWS = 565
"""Rows of incompressible noise out of 1,024; the rest is a smooth ramp. Gives 1.7 MB."""
CATEGORIES = ("kitchen", "garden", "workshop", "nursery")


@dataclass(frozen=True, slots=True)
class Item:
    """One pair as the hand-made clients see it."""

    id: str
    query: str
    image: Path


def items(folder: Path) -> Iterator[Item]:
    """Walk the pairs of a workload."""
    with open(folder / "metadata.jsonl", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield Item(row["id"], row["query"], folder / row["file_name"])


def warm(folder: Path) -> None:
    """Read every image once, so that all clients find the file cache in the same state."""
    for item in items(folder):
        item.image.read_bytes()


def make(folder: Path, pairs: int, *, small: bool = False, distinct: int | None = None) -> Path:
    """Write a workload, or keep the one that is there if it is the one asked for.

    Args:
        folder: Where it goes; its parent is made.
        pairs: How many.
        small: Images of about 2 KB rather than 1.7 MB.
        distinct: Files with content of their own; the others are hard links to them under names of
            their own, which saves disk and changes nothing for who reads them. None: all.
    """
    recipe = json.dumps({"pairs": pairs, "small": small, "distinct": distinct or pairs, "form": 1})
    done = folder / "recipe.json"
    if done.exists() and done.read_text() == recipe:
        return folder
    if folder.exists() and any(folder.iterdir()) and not done.exists():
        raise SystemExit(f"{folder} holds something else; give an empty folder with --dir")
    done.unlink(missing_ok=True)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    bases = [_draw(seed, small=small) for seed in range(BASES)]
    with open(folder / "metadata.jsonl", "w", encoding="utf-8") as rows:
        for number in range(pairs):
            name = f"images/{number:06d}.png"
            path = folder / name
            path.unlink(missing_ok=True)
            if distinct and number >= distinct:
                os.link(folder / f"images/{number % distinct:06d}.png", path)
            else:
                path.write_bytes(_commented(bases[number % BASES], f"pair {number}"))
            rows.write(json.dumps(_row(number, name)) + "\n")
    done.write_text(recipe)
    return folder


def _row(number: int, name: str) -> dict[str, object]:
    return {
        "file_name": name,
        "id": f"item-{number:06d}",
        "query": f"What should I know before I use the thing in picture item-{number:06d}?",
        "category": CATEGORIES[number % len(CATEGORIES)],
        "subcategory": f"shelf {number % 12}",
    }


def _draw(seed: int, *, small: bool) -> bytes:
    import numpy as np
    from PIL import Image

    side, noisy = (32, 16) if small else (1024, NOISY_ROWS)
    pixels = np.empty((side, side, 3), dtype=np.uint8)
    pixels[:] = np.linspace(0, 255, side, dtype=np.uint8)[None, :, None]
    pixels[:noisy] = np.random.default_rng(seed).integers(0, 256, (noisy, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _commented(png: bytes, text: str) -> bytes:
    """Put a tEXt chunk behind the header: other bytes, the same picture."""
    body = b"tEXt" + b"Comment\0" + text.encode("latin-1")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = 8 + 25
    return png[:after_header] + chunk + png[after_header:]


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a workload.")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--small", action="store_true", help="images of about 2 KB")
    parser.add_argument("--distinct", type=int, help="files of their own; the rest are hard links")
    args = parser.parse_args()
    print(make(args.dir, args.pairs, small=args.small, distinct=args.distinct))


if __name__ == "__main__":
    main()
