"""Measure A: what the queries of a benchmark tell about its images, from embeddings."""

from vlsbench.auditing.overlap._contents import content_of as content_of
from vlsbench.auditing.overlap._figures import Channel as Channel
from vlsbench.auditing.overlap._figures import ChannelFigures as ChannelFigures
from vlsbench.auditing.overlap._figures import ContentKind as ContentKind
from vlsbench.auditing.overlap._figures import OverlapGroup as OverlapGroup
from vlsbench.auditing.overlap._figures import OverlapPair as OverlapPair
from vlsbench.auditing.overlap._figures import OverlapSummary as OverlapSummary
from vlsbench.auditing.overlap._figures import Reading as Reading
from vlsbench.auditing.overlap._figures import TellingWord as TellingWord
from vlsbench.auditing.overlap._images import refuse_words as refuse_words
from vlsbench.auditing.overlap._overlap import Naming as Naming
from vlsbench.auditing.overlap._overlap import overlap as overlap
from vlsbench.auditing.overlap.calibration import Calibration as Calibration
from vlsbench.auditing.overlap.calibration import shipped as shipped
