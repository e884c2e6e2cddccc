"""What is asked once and not again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.scripted import Asked, Said, scripted
from vlsbench.config import Connection
from vlsbench.errors import Halted
from vlsbench.models import (
    LEAVING,
    BatchApi,
    Connections,
    Finish,
    HttpChat,
    Request,
    Server,
    open_images,
)


async def test_nothing_of_a_batch_is_asked_again_once_the_run_is_leaving(tmp_path: Path) -> None:
    loop, leaving = asyncio.get_running_loop(), asyncio.Event()

    def busy(asked: Asked) -> Said:
        if len(played.asked) == 3:
            loop.call_soon_threadsafe(leaving.set)
        return Said({"error": {"message": "Busy."}}, 429, {"Retry-After": "60"})

    (tmp_path / "a.jsonl").write_bytes(b"{}")
    LEAVING.set(leaving)
    with scripted(busy) as played:
        model = HttpChat("m", "m", Server(played.url, None, Connection()))
        api = BatchApi(model)
        asked = (api.upload(tmp_path / "a.jsonl"), api.create("f", "n"), api.find("f", "n"))
        done = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)
        await model.close()
        assert [type(one) for one in done] == [Halted] * 3
        assert len(played.asked) == 3


@pytest.mark.parametrize("encoded", ["\ud800", "no base64", ""])
async def test_what_is_no_image_is_rejected_and_not_drawn_again(encoded: str) -> None:
    with scripted(lambda _: Said({"data": [{"b64_json": encoded}]})) as played:
        artist = open_images(f"m@{played.url}", Connections(), filtered=True)
        reply = await artist.draw(Request("a toaster", system="64x64"))
        await artist.close()
        assert (reply.finish, len(played.asked)) == (Finish.REJECTED, 1)
