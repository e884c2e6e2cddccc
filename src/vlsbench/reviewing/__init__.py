"""Review: people decide which pairs a benchmark keeps."""

from vlsbench.reviewing._agreement import QuestionAgreement, agreement
from vlsbench.reviewing._decide import Decision, Fate, decide, votes_needed
from vlsbench.reviewing._export import KEEP, Exported, export
from vlsbench.reviewing._label_studio import (
    Imported,
    export_tasks,
    import_tasks,
    labelling_config,
)
from vlsbench.reviewing._people import Person, invite
from vlsbench.reviewing._questions import CODES, STEPS, Answer, Question, Step, asked, wanted
from vlsbench.reviewing._review import (
    PersonProgress,
    Review,
    Said,
    Screen,
    Status,
    open_review,
    shown_digest,
)
from vlsbench.reviewing._serve import HOST, serve
from vlsbench.reviewing._store import FILE, Row, Store, StoreError
from vlsbench.reviewing._verdicts import PersonVerdict, Role, person_verdicts

__all__ = [
    "CODES",
    "FILE",
    "HOST",
    "KEEP",
    "STEPS",
    "Answer",
    "Decision",
    "Exported",
    "Fate",
    "Imported",
    "Person",
    "PersonProgress",
    "PersonVerdict",
    "Question",
    "QuestionAgreement",
    "Review",
    "Role",
    "Row",
    "Said",
    "Screen",
    "Status",
    "Step",
    "Store",
    "StoreError",
    "agreement",
    "asked",
    "decide",
    "export",
    "export_tasks",
    "import_tasks",
    "invite",
    "labelling_config",
    "open_review",
    "person_verdicts",
    "serve",
    "shown_digest",
    "votes_needed",
    "wanted",
]
