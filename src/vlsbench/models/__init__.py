"""Models: what goes to them, what comes back, and the ways to reach them."""

from vlsbench.models._address import parse_http_spec
from vlsbench.models._answers import parse_answer
from vlsbench.models._chat import (
    DEFAULT_MAX_TOKENS,
    CallFailed,
    ChatModel,
    FatalCall,
    Finish,
    Model,
    Params,
    Reply,
    Request,
    Schema,
    Usage,
    call_key,
    call_key_of,
)
from vlsbench.models._finish import FINISHES, read_finish
from vlsbench.models._hf import Answer, HfChat, LocalModel, Question
from vlsbench.models._http import HttpChat, RetryPolicy, Server, to_json
from vlsbench.models._images import (
    DIFFUSERS,
    Drawing,
    Drawn,
    HttpImages,
    ImageModel,
    open_images,
)
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
from vlsbench.models._processor import has_bos, load_processor, pictures_only
from vlsbench.models._thoughts import Said, split_thoughts

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "DIFFUSERS",
    "FINISHES",
    "Answer",
    "CallFailed",
    "ChatModel",
    "Connections",
    "Drawing",
    "Drawn",
    "FatalCall",
    "Finish",
    "HfChat",
    "HttpChat",
    "HttpImages",
    "ImageModel",
    "InspectChat",
    "Limiter",
    "LocalModel",
    "Model",
    "Params",
    "Price",
    "Question",
    "Reply",
    "Request",
    "RetryPolicy",
    "Said",
    "Schema",
    "Server",
    "Usage",
    "call_key",
    "call_key_of",
    "has_bos",
    "image_tokens",
    "load_processor",
    "open_images",
    "parse_answer",
    "parse_http_spec",
    "pictures_only",
    "price_of",
    "price_table",
    "read_finish",
    "split_thoughts",
    "text_tokens",
    "to_json",
]
