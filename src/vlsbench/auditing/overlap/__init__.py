"""Measure A: what the queries of a benchmark tell about its images, from embeddings."""

from vlsbench.auditing.overlap._calibration import Calibration as Calibration
from vlsbench.auditing.overlap._calibration import load_calibration as load_calibration
from vlsbench.auditing.overlap._calibration import shipped as shipped
from vlsbench.auditing.overlap._captions import CAPTION as CAPTION
from vlsbench.auditing.overlap._captions import captions as captions
from vlsbench.auditing.overlap._contents import content_of as content_of
from vlsbench.auditing.overlap._figures import Channel as Channel
from vlsbench.auditing.overlap._figures import ChannelFigures as ChannelFigures
from vlsbench.auditing.overlap._figures import ContentKind as ContentKind
from vlsbench.auditing.overlap._figures import Estimate as Estimate
from vlsbench.auditing.overlap._figures import OverlapGroup as OverlapGroup
from vlsbench.auditing.overlap._figures import OverlapPair as OverlapPair
from vlsbench.auditing.overlap._figures import OverlapSummary as OverlapSummary
from vlsbench.auditing.overlap._figures import Reading as Reading
from vlsbench.auditing.overlap._figures import TellingWord as TellingWord
from vlsbench.auditing.overlap._naming import Naming as Naming
from vlsbench.auditing.overlap._ocr import TEXT as TEXT
from vlsbench.auditing.overlap._ocr import require_tesseract as require_tesseract
from vlsbench.auditing.overlap._ocr import texts as texts
from vlsbench.auditing.overlap._overlap import overlap as overlap
from vlsbench.auditing.overlap._overlap import telling_words as telling_words
