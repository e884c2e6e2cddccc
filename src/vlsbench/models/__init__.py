"""Models: what goes to them, what comes back, and the ways to reach them."""

from vlsbench.models._http import HttpChat, Patience, Server
from vlsbench.models._inspect import InspectChat
from vlsbench.models._limits import Limiter
from vlsbench.models._open import Connections
from vlsbench.models._prices import (
    Price,
    image_tokens,
    price_of,
    price_table,
    text_tokens,
)
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
    call_key_of,
)

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "CallFailed",
    "ChatModel",
    "Connections",
    "FatalCall",
    "Finish",
    "HttpChat",
    "InspectChat",
    "Limiter",
    "Params",
    "Patience",
    "Price",
    "Reply",
    "Request",
    "Schema",
    "Server",
    "Usage",
    "call_key",
    "call_key_of",
    "image_tokens",
    "price_of",
    "price_table",
    "text_tokens",
]
