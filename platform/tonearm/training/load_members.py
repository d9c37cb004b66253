"""Trained networks as parts of another one."""

from __future__ import annotations

from collections.abc import Sequence

from tonearm.core.errors import BundleError, TrainingError
from tonearm.models.base import Network
from tonearm.models.stacked import FrozenMembers
from tonearm.training.bundle import load_bundle
from tonearm.training.config import TrialConfig


def load_members(network: Network, config: TrialConfig, names: Sequence[str]) -> None:
    """Put the trained members' weights into a network that consists of them.

    Raises
    ------
    TrainingError
        If a member is missing, was trained by another trial than the config says, on other inputs, or for other
        classes; all problems at once.
    """
    if not isinstance(network, FrozenMembers):
        if config.members:
            raise TrainingError(f"the model {config.model.kind!r} has no members, {len(config.members)} were given")
        return
    trained = {m.name: m for m in config.members}
    specs = network.member_specs
    found = [f"member {name!r} is not trained: name its trial" for name in network.members if name not in trained]
    found += [f"there is no member {name!r}: {', '.join(network.members)}" for name in trained
              if name not in network.members]  # fmt: skip
    for name, member in trained.items():
        if name in network.members:
            try:
                bundle = load_bundle(member.bundle)
            except BundleError as error:
                found.append(f"member {name!r}: {error}")
                continue
            part = config.feature.named_inputs().get(network.member_inputs[name] or "")
            checks = {
                "is of another trial": bundle.config.signature() == member.trial,
                "takes another input": part is None  # what joins vectors has inputs of its own
                or (bundle.config.feature, bundle.config.window.brief_length()) == (part, config.window.brief_length()),
                "gives other classes": bundle.classes == tuple(names),
                "is another model": bundle.config.built_model == specs[name].config,
            }
            wrong = [what for what, fits in checks.items() if not fits]
            found += [f"member {name!r} at {member.bundle} {what}" for what in wrong]
            if not wrong:
                network.members[name].load_state_dict(bundle.network.state_dict())
    if found:
        raise TrainingError(f"{config.model.kind}: " + "; ".join(found))
