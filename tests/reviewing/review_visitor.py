"""A browser without script, at the pages of a review."""

from __future__ import annotations

from fastapi.testclient import TestClient

from vlsbench.reviewing import Person

PORT = 8710
HOME = f"http://127.0.0.1:{PORT}"


class Visitor:
    """One person with a browser of their own."""

    def __init__(self, client: TestClient, person: Person) -> None:
        self.client = client
        self.person = person
        self.entered = client.get(f"/enter/{person.link}")

    def get(self, path: str, **headers: str) -> str:
        reply = self.client.get(path, headers=headers)
        assert reply.status_code == 200, reply.text
        return str(reply.text)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> int:
        """Send a form of our own; returns the status of what it leads to."""
        sent = {"form": self.person.form, **fields}
        reply = self.client.post(path, data=sent, headers={"origin": HOME, **headers})
        return int(reply.status_code)
