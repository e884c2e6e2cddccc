"""Human review: which pairs a benchmark keeps."""

from vlsbench.reviewing._decide import Fate, QuestionAgreement, agreement, decide, votes_needed
from vlsbench.reviewing._exchange import (
    export,
    export_tasks,
    import_tasks,
    labelling_config,
    read_tasks,
)
from vlsbench.reviewing._review import PersonProgress, Review, Status, open_review
from vlsbench.reviewing._serve import (
    Person,
    ReviewConfig,
    ReviewedSet,
    Votes,
    folder_for,
    invite,
    review,
    serve,
    serve_review,
)
from vlsbench.reviewing._store import FILE, Store, StoreError
from vlsbench.reviewing._verdicts import (
    CODES,
    STEPS,
    Answer,
    PersonVerdict,
    Question,
    Role,
    Row,
    Said,
    Step,
    asked,
)

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
    "ReviewedSet",
    "Role",
    "Row",
    "Said",
    "Status",
    "Step",
    "Store",
    "StoreError",
    "Votes",
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
