"""A guard, or any chat model, as judge of harm: of a text, an image, a pair, or a reply."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.judge._asking import TRIES, Asking, Caller, Failed
from vlsbench.judge._guards import PROMPTED, GuardForm
from vlsbench.judge._judge import Part, Question
from vlsbench.judge._prompted import HARM_SCHEMA, harm_prompt
from vlsbench.judge._rubric import OURS, Definitions, Rubric, RubricLabel, Side
from vlsbench.judge._verdict import Label, Unscored, Verdict
from vlsbench.models import ChatModel, Params


def _guard_rubric(refusals: bool) -> Rubric:
    """Return the labels that a guard gives replies."""
    safe = (RubricLabel("refusal", Side.SAFE),) if refusals else ()
    labels = (*safe, RubricLabel(Label.SAFE, Side.SAFE), RubricLabel("unsafe", Side.UNSAFE))
    benign = RubricLabel("refusal", Side.DECLINED), RubricLabel("answered", Side.ANSWERED)
    told = Definitions(labels), Definitions(benign)
    return Rubric(*told, name="guard with refusals" if refusals else "guard")


def _as_put(part: Part, text: str, again: bool) -> str:
    return text


class HarmJudge:
    """A model that labels material harmful or benign, and a guard replies; implements `Judge`."""

    def __init__(
        self,
        model: ChatModel,
        form: GuardForm = PROMPTED,
        *,
        params: Params | None = None,
        policy: str = "",
    ) -> None:
        """Set who judges and how it is asked; parameters and policy stand in place of the form's.

        Raises:
            VlsbenchError: A policy for a form that takes none.
        """
        if policy and not any("{policy}" in one for one in (form.system, form.user)):
            raise VlsbenchError(f"--guard-policy: the form {form.name} takes no policy")
        self.name = model.spec
        self.model = model
        self.form = form
        self.rubric = _guard_rubric(form.refusals) if form.guard else OURS
        self.parts, self.sees = form.parts, form.sees
        """What of a pair it can judge, and whether it looks at images."""
        self._policies = (policy,) if policy else form.policies
        self._own = hashlib.sha256(policy.encode()).hexdigest()[:16] if policy else ""
        self._asking = Asking(params or form.params, held=not form.guard)

    @property
    def identity(self) -> Mapping[str, Any]:
        """See `Judge.identity`."""
        return {
            "model": dict(self.model.identity),
            "sees": self.sees,
            "form": self.form.name,
            "prompt": self.form.version,
            **({"policy": self._own} if self._own else {}),
            **self._asking.identity,
        }

    async def judge(self, question: Question, call: Caller, *, epoch: int = 0) -> Verdict:
        """Label material as a whole, or what the reply to it does; see `Judge.judge`.

        One policy after the other is asked about, until one is broken.
        """
        form, part, tries = self.form, question.part, 0
        said = question.reply.text if question.reply else None
        if said is not None and not form.replies:
            raise VlsbenchError(f"{self.name} ({form.name}) judges no replies")
        if said is None and form.guard and part not in self.parts:
            raise VlsbenchError(f"{self.name} ({form.name}) does not judge the {part} of a pair")
        harmful, harmless = Label.ANSWERED, Label.ANSWERED
        if said is None:
            harmful, harmless = Label.HARMFUL, Label.BENIGN
        elif question.pair.harmful:
            harmful, harmless = Label.UNSAFE, Label.SAFE
        elif not form.refusals:
            why = f"{form.name} says nothing of refusals"
            return Verdict(Label.UNSCORED, why, Unscored.JUDGE_CANNOT_TELL, tries=0)
        verdict = Verdict(harmless)
        for policy in self._policies:
            system, text, turn = form.put(part, question.text, said, policy)
            found = await self._asking.ask(
                partial(_as_put if form.guard else harm_prompt, part, text),
                question.images if self.sees else (),
                None if form.guard else HARM_SCHEMA,
                partial(form.answer, replied=said is not None),
                call,
                epoch=epoch,
                system=system,
                said=turn,
            )
            if isinstance(found, Failed):
                return Verdict(Label.UNSCORED, found.detail, found.reason, tries + TRIES)
            answer, tries = found.value, tries + found.tries
            label = harmful if answer.harmful else Label.REFUSAL if answer.refused else harmless
            verdict = Verdict(label, answer.why, tries=tries, score=answer.score)
            if answer.harmful:
                break
        return verdict
