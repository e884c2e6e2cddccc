"""Human review: which pairs a benchmark keeps."""

from vlsbench.reviewing._agreement import QuestionAgreement, agreement
from vlsbench.reviewing._decide import Fate, decide, votes_needed
from vlsbench.reviewing._export import export
from vlsbench.reviewing._front import ReviewConfig, folder_for, review, serve_review
from vlsbench.reviewing._label_studio import (
    export_tasks,
    import_tasks,
    labelling_config,
    read_tasks,
)
from vlsbench.reviewing._people import Person, invite
from vlsbench.reviewing._questions import CODES, STEPS, Answer, Question, Said, Step, asked
from vlsbench.reviewing._review import PersonProgress, Review, Status, open_review
from vlsbench.reviewing._serve import serve
from vlsbench.reviewing._store import FILE, Row, Store, StoreError
from vlsbench.reviewing._verdicts import PersonVerdict, Role

__all__ = [
    "CODES",
    "FILE",
    "STEPS",
    "Answer",
    "Fate",
    "Person",
    "PersonProgress",
    "PersonVerdict",
    "Question",
    "QuestionAgreement",
    "Review",
    "ReviewConfig",
    "Role",
    "Row",
    "Said",
    "Status",
    "Step",
    "Store",
    "StoreError",
    "agreement",
    "asked",
    "decide",
    "export",
    "export_tasks",
    "folder_for",
    "import_tasks",
    "invite",
    "labelling_config",
    "open_review",
    "read_tasks",
    "review",
    "serve",
    "serve_review",
    "votes_needed",
]
