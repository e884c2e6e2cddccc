"""Texts and images to vectors, and what makes two of them alike."""

from vlsbench.embed._near import HASH_BITS as HASH_BITS
from vlsbench.embed._near import Bits as Bits
from vlsbench.embed._near import ImageIndex as ImageIndex
from vlsbench.embed._near import Near as Near
from vlsbench.embed._near import TextIndex as TextIndex
from vlsbench.embed._near import VectorIndex as VectorIndex
from vlsbench.embed._near import difference_hash as difference_hash
from vlsbench.embed._near import differing as differing
from vlsbench.embed._near import normalised as normalised
from vlsbench.embed.clip import Clip as Clip
from vlsbench.embed.http import HttpEmbedder as HttpEmbedder
from vlsbench.embed.text import CLIP as CLIP
from vlsbench.embed.text import MINILM as MINILM
from vlsbench.embed.text import CachedEmbedder as CachedEmbedder
from vlsbench.embed.text import Embedder as Embedder
from vlsbench.embed.text import MiniLM as MiniLM
from vlsbench.embed.text import Vectors as Vectors
from vlsbench.embed.text import default_cache as default_cache
from vlsbench.embed.text import open_embedder as open_embedder
from vlsbench.registry import embedder

embedder("minilm", summary="Embeds texts on the CPU with all-MiniLM-L6-v2; offline.")(
    lambda spec: MiniLM()
)
embedder("http", summary="Asks a server's /v1/embeddings, NAME@http://host:port/v1.")(HttpEmbedder)
embedder("clip", summary="Embeds texts and images, clip/PATH or clip/ORG/NAME.")(Clip)
