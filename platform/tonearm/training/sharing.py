"""A card that several processes share."""

from __future__ import annotations

from tonearm.core.errors import TrainingError

CONTEXT_BYTES = 600 * 2**20  # what a process takes of a GPU beside its tensors: CUDA's context and cuDNN


def memory_fraction(gpus: float, total: int) -> float:
    """The share of a card's ``total`` bytes that the tensors of a process with ``gpus`` of it may take.

    Raises
    ------
    TrainingError
        If nothing is left for them.
    """
    fraction = gpus - CONTEXT_BYTES / total
    if fraction <= 0:
        raise TrainingError(
            f"{gpus:g} of a GPU of {total / 2**30:.1f} GiB is {gpus * total / 2**20:.0f} MiB, no more than a process "
            "takes for itself, beside its tensors: raise gpus"
        )
    return fraction


def device_with(gpus: float) -> str:
    """Where a process computes that has so much of a GPU, 0 and more; of one that several share it takes no more
    memory than its part from now on.

    Raises
    ------
    TrainingError
        If it has a GPU that torch does not see, or too little of one.
    """
    import torch

    if not gpus:
        return "cpu"
    if not torch.cuda.is_available():
        raise TrainingError(f"this process was given {gpus:g} of a GPU, but torch sees none: start it with gpus 0")
    if gpus < 1:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(memory_fraction(gpus, total))
    return "cuda"
