"""Adam for tables of vectors: a step costs as much as the rows that its batch reads."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

ROWS_AT_ONCE = 4096  # of those that are made up for together: of 800 numbers 13 MB
LEAST_DECAY = 1e-30  # nothing is left of a moment then, and smaller numbers would be slow


@dataclass
class _Waiting:
    """What each row of a table waits for: by which factors steps without a gradient change it.

    Attributes
    ----------
    step
        Of the table.
    seen
        int64 (rows,): the step after which a row was last up to date.
    decay
        (rows,): what is left since then of the quotient of the two moments, one step's share to the power of the steps.
    way
        (rows,): by how many such quotients, as they were then, the row must still move.
    epsilon
        (rows,): the sum of these shares, each times the epsilon of its step.
    kept
        (rows,): the share of the row that decoupled weight decay has left.
    late
        Whether any row may wait for something.
    """

    step: int
    seen: Tensor
    decay: Tensor
    way: Tensor
    epsilon: Tensor
    kept: Tensor
    late: bool = False

    @classmethod
    def none(cls, weight: Tensor, step: int) -> _Waiting:
        rows = len(weight)
        ones = torch.ones(2, rows, device=weight.device)
        zeros = torch.zeros(2, rows, device=weight.device)
        seen = torch.full((rows,), step, device=weight.device)
        return cls(step, seen, ones[0], zeros[0], zeros[1], ones[1])

    def go_on(self, factor: float, epsilon: float, ratio: float, shrink: float) -> None:
        """A step that no row has a gradient for."""
        self.step, self.late = self.step + 1, True
        self.decay.mul_(ratio).clamp_(min=LEAST_DECAY)
        if shrink != 1.0:
            self.way.mul_(shrink)
            self.epsilon.mul_(shrink)
            self.kept.mul_(shrink)
        self.way.add_(self.decay, alpha=factor)
        self.epsilon.add_(self.decay, alpha=factor * epsilon)

    def up_to_date(self, rows: Tensor) -> None:
        """These rows wait for nothing."""
        self.seen[rows] = self.step
        self.decay[rows], self.kept[rows] = 1.0, 1.0
        self.way[rows], self.epsilon[rows] = 0.0, 0.0


class RowAdam(torch.optim.Adam):
    """Adam or AdamW whose steps change only the rows that a batch read of a table; all other weights as usual.

    Adam moves every weight at every step, also where the gradient is zero: what is left of the moments still moves it.
    For a row that no batch reads this is one factor for all its numbers, and the factors of many steps add up. So they
    are kept, a number a row, and a row is changed when it is next read, or by :meth:`catch_up`. That gives what Adam
    gives, but for rounding and for epsilon, which such a step takes as its last one does. It is not the "lazy" Adam of
    :class:`torch.optim.SparseAdam`, which leaves these moves out: a row that one batch in 100 reads would go a tenth
    as far.

    One thing differs: ``weight_decay`` as an L2 penalty (``decoupled`` false) is part of the gradient, so rows that a
    batch does not read have none. Decoupled decay is as in AdamW.

    The state is that of Adam, and either goes on from the other's. Until :meth:`catch_up` the rows that wait are not
    what they will be: call it before weights are read otherwise than through the table's forward pass.

    Parameters
    ----------
    parameters
        All that learns, the tables' weights among them.
    tables
        Their gradients are sparse from now on. One that gets a dense gradient all the same is changed as a whole.
    """

    def __init__(
        self, parameters: Iterable[Tensor], tables: Sequence[nn.Embedding], lr: float, weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, decoupled_weight_decay=decoupled, fused=True)
        self._step_supports_amp_scaling = False  # a scaler divides the sparse gradients before the step
        self._tables = {table.weight: _Waiting.none(table.weight, 0) for table in tables}
        for table in tables:
            table.sparse = True
            hook = table.register_forward_pre_hook(_before_reading(weakref.ref(self)))
            weakref.finalize(self, hook.remove)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change the weights; ``closure`` computes the gradients anew, if it is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        sparse, dense = {}, []
        for weight in self._tables:
            if weight.grad is not None and weight.grad.is_sparse:
                sparse[weight], weight.grad = weight.grad, None
            elif weight.grad is not None:
                self._catch_up(weight)
                dense.append(weight)
        super().step()
        for weight in dense:
            self._tables[weight] = _Waiting.none(weight, self._tables[weight].step + 1)
        for weight, gradient in sparse.items():
            weight.grad = gradient
            self._step_rows(weight, gradient.coalesce())
        return loss

    @torch.no_grad()
    def catch_up(self) -> None:
        """Bring all rows up to date."""
        for weight in self._tables:
            self._catch_up(weight)

    def state_dict(self) -> dict[str, Any]:
        """Adam's, of rows that are up to date."""
        self.catch_up()
        return super().state_dict()

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over Adam's or another one's of this kind."""
        super().load_state_dict(state_dict)
        for weight in self._tables:
            self._tables[weight] = _Waiting.none(weight, int(self.state[weight].get("step", 0)))

    def read(self, weight: Tensor, rows: Tensor) -> None:
        """Bring rows up to date that the network is about to look up; the table of a copy of it waits for nothing."""
        if weight in self._tables and self._tables[weight].late:
            self._catch_up(weight, torch.unique(rows))

    def _moments(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        state = self.state[weight]
        if not state:  # as Adam makes it
            state["step"] = torch.zeros((), device=weight.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        return state["exp_avg"], state["exp_avg_sq"]

    def _step_rows(self, weight: Tensor, gradient: Tensor) -> None:
        group, waiting = self.param_groups[0], self._tables[weight]
        lr, decay, (beta1, beta2) = group["lr"], group["weight_decay"], group["betas"]
        decoupled = group["decoupled_weight_decay"]
        rows, values = gradient.indices()[0], gradient.values()
        self._catch_up(weight, rows)
        means, squares = self._moments(weight)
        self.state[weight]["step"] += 1
        correction = math.sqrt(1 - beta2 ** (waiting.step + 1))
        epsilon = group["eps"] * correction
        factor = lr * correction / (1 - beta1 ** (waiting.step + 1))
        shrink = 1 - lr * decay if decoupled else 1.0
        row = weight.index_select(0, rows)
        if decay and not decoupled:
            values = values.add(row, alpha=decay)
        mean = means.index_select(0, rows).lerp_(values, 1 - beta1)
        square = squares.index_select(0, rows).mul_(beta2).addcmul_(values, values, value=1 - beta2)
        means[rows], squares[rows] = mean, square
        weight[rows] = row.mul_(shrink).addcdiv_(mean, square.sqrt_().add_(epsilon), value=-factor)
        waiting.go_on(factor, epsilon, beta1 / math.sqrt(beta2), shrink)
        waiting.up_to_date(rows)

    def _catch_up(self, weight: Tensor, rows: Tensor | None = None) -> None:
        """Bring some rows, each given once, or all of them up to date."""
        waiting = self._tables[weight]
        if not waiting.late:
            return
        if rows is None:
            late, waiting.late = torch.nonzero(waiting.seen < waiting.step)[:, 0], False
        else:
            late = rows[waiting.seen[rows] < waiting.step]
        for some in torch.split(late, ROWS_AT_ONCE) if len(late) else ():
            self._catch_up_some(weight, waiting, some)

    def _catch_up_some(self, weight: Tensor, waiting: _Waiting, rows: Tensor) -> None:
        group, (means, squares) = self.param_groups[0], self._moments(weight)
        beta1, beta2 = group["betas"]
        way = waiting.way[rows]
        epsilon = torch.where(way > 0, waiting.epsilon[rows] / way, group["eps"])  # a rate of 0 goes no way
        steps = (waiting.step - waiting.seen[rows]).double()
        mean, square = means.index_select(0, rows), squares.index_select(0, rows)
        move = mean / square.sqrt().add_(epsilon[:, None])
        weight[rows] = (
            weight.index_select(0, rows).mul_(waiting.kept[rows, None]).addcmul_(move, way[:, None], value=-1)
        )
        means[rows] = mean.mul_((beta1**steps).float()[:, None])
        squares[rows] = square.mul_((beta2**steps).float()[:, None])
        waiting.up_to_date(rows)


def _before_reading(optimizer: weakref.ref[RowAdam]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def hook(table: nn.Module, inputs: tuple[Any, ...]) -> None:
        found = optimizer()
        if found is not None and isinstance(table.weight, Tensor):
            with torch.no_grad():
                found.read(table.weight, inputs[0])

    return hook
