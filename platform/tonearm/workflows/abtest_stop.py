"""The end of an experiment: everybody gets the winner."""

from __future__ import annotations

from tonearm.core.errors import JobError
from tonearm.feedback.events import CHALLENGER, CHAMPION
from tonearm.tracking import names
from tonearm.tracking.query import registered
from tonearm.tracking.register import end_challenge
from tonearm.tracking.retry import retry
from tonearm.workflows.abtest import AbTest
from tonearm.workflows.promotion import Promotion, carry_out


def stop_abtest(found: AbTest) -> str:
    """Give everybody the winner, and take the challenger's alias away; what was done, in a sentence.

    A challenger that won becomes the champion, by the rule of the registry: not if it was rolled back. One that lost
    stays registered, with the reason. Servers follow within seconds.

    Raises
    ------
    JobError
        If there is no winner, if it is not known which versions were compared, or if the champion is another by now.
    """
    if not found.winner:
        raise JobError(f"the experiment {found.experiment} has no winner: {found.why}")
    challenger, champion = _version_of(found, CHALLENGER), _version_of(found, CHAMPION)
    won = found.winner == CHALLENGER
    if challenger[0] != champion[0]:
        raise JobError(f"the experiment {found.experiment} compared {champion[0]} with {challenger[0]}, which are two "
                       "models: register the winner's bundle as a version of the one that is served")  # fmt: skip
    dataset = challenger[0].removeprefix(names.model_name(""))
    now = retry(registered, dataset, names.CHAMPION)
    # the challenger may be the champion already: an end that broke off goes on
    if now is None or now.version not in ((champion[1], challenger[1]) if won else (champion[1],)):
        present = f"version {now.version}" if now else "none"
        raise JobError(f"the champion of {dataset} is {present}, the experiment compared {challenger[1]} with "
                       f"{champion[1]}: what it shows is not of today's champion")  # fmt: skip
    d = found.differences[found.decided_by]
    figures = {"difference": d.value, "low": d.low, "high": d.high, "listeners": float(sum(d.counts))}
    by = f"in the experiment {found.experiment}, against version {champion[1]}: {found.why}"
    done = carry_out(dataset, challenger[1], Promotion(won, f"it {'won' if won else 'lost'} {by}", figures))
    if won and not done.promoted:
        raise JobError(f"{challenger[0]} version {challenger[1]} stays what it is: {done.why}")
    ended = retry(end_challenge, dataset, challenger[1])
    told = "it is no longer the challenger" if ended else "a server that names it otherwise goes on with it"
    best = challenger if won else champion
    why = f"version {challenger[1]} {done.why.removeprefix('it ')}"
    return f"{best[0]}: version {best[1]} is everybody's, since {why}; {told}"


def _version_of(found: AbTest, arm: str) -> tuple[str, str]:
    """Model and version that an arm compared: in the challenger's arm the champion may have answered, too, where it
    failed.

    Raises
    ------
    JobError
        If there is not one.
    """
    others = set(found.versions[CHAMPION]) if arm == CHALLENGER else set()
    own = [v for v in found.versions[arm] if v not in others] or list(found.versions[arm])
    if len(own) != 1 or not own[0][1]:
        shown = ", ".join(f"{model} {version}".strip() for model, version in own) or "none"
        raise JobError(f"the {arm} of {found.experiment} was not one registered version, but {shown}: begin anew with "
                       "another --salt whenever a version changes")  # fmt: skip
    return own[0]
