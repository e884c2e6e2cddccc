"""Models: what goes to them, what comes back, and the ways to reach them."""

from vlsbench.models._types import (
    DEFAULT_MAX_TOKENS,
    CallFailed,
    ChatModel,
    FatalCall,
    Finish,
    Params,
    Reply,
    Request,
    Schema,
    Usage,
    call_key,
)

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "CallFailed",
    "ChatModel",
    "FatalCall",
    "Finish",
    "Params",
    "Reply",
    "Request",
    "Schema",
    "Usage",
    "call_key",
]
