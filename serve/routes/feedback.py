"""What listeners did with what they were shown: kept, and forgotten."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter

from serve.experiment import Experiment
from serve.openapi import problems
from serve.schemas_feedback import FeedbackEvent, FeedbackKept, ListenerForgotten, ListenerInPath
from serve.state import Here
from tonearm.feedback.events import CHALLENGER

router = APIRouter(prefix="/v1", tags=["feedback"])


@router.post("/feedback", responses=problems(400, 409))
async def feedback(here: Here, said: FeedbackEvent) -> FeedbackKept:
    """Keep what a listener did. It is answered once the event is on the disk; sent again with the same id, it is kept
    once."""
    routes = here.front.routes
    shown = routes.current
    if routes.experiment is not None and routes.experiment.arm(said.listener) == CHALLENGER:
        shown = routes.experiment.challenger
    signature = shown.signature if shown else {}
    event = said.to_event(
        model=said.model or signature.get("model", ""),
        version=said.version if said.version is not None else signature.get("version", ""),
        received=time.time(),
        **_experiment(here.front.routes.experiment, said),
    )
    await here.feedback.keep(event)
    return FeedbackKept(event_id=event.event_id)


@router.delete("/feedback/{listener}", responses=problems())
async def forget(here: Here, listener: ListenerInPath) -> ListenerForgotten:
    """Delete all that a listener did."""
    return ListenerForgotten(listener=listener, events=await here.feedback.forget(listener))


def _experiment(experiment: Experiment | None, said: FeedbackEvent) -> dict[str, Any]:
    """What an event belongs to. What was shown by another arm than the listener has now is of an earlier experiment, or
    of none: it is kept, and compared with nothing. So is what names an answer, and no arm of it: that was given to
    somebody who had not yet said who he is, and is the champion's, whatever arm he has since."""
    if experiment is None:
        return {"arm": said.arm or ""}
    arm = experiment.arm(said.listener)
    names_answer = said.version is not None or said.request_id is not None
    if said.arm != arm and (said.arm is not None or names_answer):
        return {"arm": said.arm or ""}
    return {"arm": arm, "experiment": experiment.salt, "share": experiment.share}
