"""Calibration: people label some replies of a run, and its rates are corrected by that."""

from vlsbench.calibrating._calibrate import Drawn as Drawn
from vlsbench.calibrating._calibrate import calibrate as calibrate
from vlsbench.calibrating._calibrate import changes as changes
from vlsbench.calibrating._calibrate import draw as draw
from vlsbench.calibrating._calibrate import people_agreement as people_agreement
from vlsbench.calibrating._design import PILOT as PILOT
from vlsbench.calibrating._design import Labelled as Labelled
from vlsbench.calibrating._design import covariance as covariance
from vlsbench.calibrating._design import next_sizes as next_sizes
from vlsbench.calibrating._design import spread_out as spread_out
from vlsbench.calibrating._files import LabelStudioAnnotation as LabelStudioAnnotation
from vlsbench.calibrating._files import reply_images as reply_images
from vlsbench.calibrating._files import rubric_of as rubric_of
from vlsbench.calibrating._files import take_labels as take_labels
from vlsbench.calibrating._files import write_tasks as write_tasks
from vlsbench.calibrating._record import RECORD as RECORD
from vlsbench.calibrating._record import CalibratedRun as CalibratedRun
from vlsbench.calibrating._record import Given as Given
from vlsbench.calibrating._record import Reply as Reply
from vlsbench.calibrating._record import settle as settle
