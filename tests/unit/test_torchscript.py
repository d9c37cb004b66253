"""TorchScript of others: what only computes is read, everything else is refused before any of it runs."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.encoder_files import torchscript
from tonearm.core.errors import ConfigError
from tonearm.features.torchscript import read_torchscript

CODE = f"code/__torch__/{__name__.replace('.', '/')}.py"
OWN = f"__torch__.{__name__}.Plain"
RETURN, ARGUMENT, METHOD = "    return", "x: Tensor)", "  def forward("
SET_STATE = f"""  def __getstate__(self: {OWN}) -> int:
    return 1
  def __setstate__(self: {OWN}, state: int) -> NoneType:
    self.training = False
    torch.save(state, "MARK")
    return None
"""
PRINTS = f"  def __lt__(self: {OWN}, other: {OWN}) -> bool:\n    print(1)\n    return True\n"


class Plain(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"e": x[:, :4]}


def rewritten(path: Path, change: Callable[[str], str], rename: Callable[[str], str] = str, **further: str) -> Path:
    """A file of :class:`Plain` with changed code, names of entries and further entries, as an archive that is no
    torch's."""
    torchscript(path, Plain())
    with zipfile.ZipFile(path) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist() if not name.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            changed = change(content.decode()).encode() if name.endswith(CODE) else content
            assert changed != content or not name.endswith(CODE)
            archive.writestr(zipfile.ZipInfo(rename(name)), changed)
        for name, text in further.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        read_torchscript(path.name, path.read_bytes(), "cpu")
    return str(refused.value)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (RETURN, 'torch.save(x, "MARK")'),
        (RETURN, 'torch . save(x, "MARK")'),
        (RETURN, 'torch.\\\n      save(x, "MARK")'),
        (RETURN, 'ops.aten. save(x, "MARK")'),
        (RETURN, '_9 = torch. from_file("MARK", True, 10)'),
        (RETURN, 'getattr(torch, "save")(x, "MARK")'),
        (RETURN, 'getattr(torch, "sa" "ve")(x, "MARK")'),
        (RETURN, 'getattr(torch, "\\163ave")(x, "MARK")'),
        (ARGUMENT, 'x: Tensor, y: Tensor=torch.from_file("MARK", True, 10))'),  # these run while torch reads
        (METHOD, '  c : Final[Tensor] = torch.from_file("MARK", True, 10)\n'),
        (METHOD, '  c : Final[Tensor] = getattr(torch, "from" "_file")("MARK", True, 10)\n'),
        (METHOD, SET_STATE),
    ],
)
def test_what_could_reach_a_file_is_refused_however_it_is_written(tmp_path: Path, place: str, text: str) -> None:
    mark = tmp_path / "mark"
    new = {RETURN: f"    {text}\n{RETURN}", ARGUMENT: text, METHOD: text + METHOD}[place].replace("MARK", str(mark))
    file = rewritten(tmp_path / "w.pt", lambda code: code.replace(place, new))
    assert "could read or write files while it runs" in refusal(file) and not mark.exists()


@pytest.mark.parametrize(
    ("place", "text", "kind"),
    [
        (RETURN, "    print(x)\n", "prim::Print in forward"),
        (RETURN, "    torch.manual_seed(3)\n", "aten::manual_seed in forward"),
        (RETURN, "    ops.profiler._record_function_enter('x')\n", "profiler::_record_function_enter in forward"),
        (METHOD, PRINTS, "prim::Print in __lt__"),  # called by nothing that stands there, but by sorting
        (RETURN, "    for i in range(2):\n      if bool(i):\n        print(i)\n", "prim::Print in forward"),
    ],
)
def test_what_does_more_than_compute_is_refused(tmp_path: Path, place: str, text: str, kind: str) -> None:
    file = rewritten(tmp_path / "w.pt", lambda code: code.replace(place, text + place, 1))
    assert f"w.pt uses {kind}: an encoder only computes" in refusal(file)


def test_an_archive_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def evil(code: str) -> str:
        return code.replace(RETURN, f'    torch.save(x, "{mark}")\n{RETURN}')

    plain = rewritten(tmp_path / "plain.pt", lambda code: code + " ")
    with zipfile.ZipFile(plain) as archive:
        code = archive.read(f"plain/{CODE}").decode()
    assert read_torchscript("plain", plain.read_bytes(), "cpu") is not None
    file = tmp_path / "w.pt"
    assert "subdirectory" in refusal(rewritten(file, evil, **{f"zzz/{CODE}": code}))
    assert "holds an entry twice" in refusal(rewritten(file, evil, **{f"w/{CODE}": code}))
    assert "holds 'CODE/" in refusal(
        rewritten(file, evil, lambda name: name.replace("code/", "CODE/"), **{"w/code/a.py": ""})
    )
    assert "holds 'model.json'" in refusal(rewritten(file, lambda c: c + " ", **{"w/model.json": "{}"}))
    # Its end says where the first list is; Python's zipfile takes the one before the end, another's.
    harmful, harmless = (
        rewritten(file, change).read_bytes() for change in (evil, lambda c: c + " " * (len(evil(c)) - len(c)))
    )
    file.write_bytes(harmful[:-22] + harmless)
    with zipfile.ZipFile(file) as archive:
        assert b"save" not in archive.read(f"w/{CODE}")
    assert "could read or write files" in refusal(file) and not mark.exists()


def test_classes_of_torch_itself_are_refused_while_their_state_is_not_set(tmp_path: Path) -> None:
    file = torchscript(tmp_path / "w.pt", torch.ao.nn.quantized.dynamic.Linear(4, 3))
    assert "quantised network or holds other classes of torch itself" in refusal(file)


def test_the_files_of_a_network_of_many_parts_are_read(tmp_path: Path) -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.Sequential(nn.Sequential(nn.Conv1d(1, 8, 5, stride=4), nn.BatchNorm1d(8), nn.GELU()))
            self.heard = nn.GRU(8, 8, batch_first=True)
            self.attends = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            steps = self.heard(self.parts(x[:, None]).transpose(1, 2))[0]
            if steps.shape[1] < 2:
                raise ValueError("too short")
            return torch.cat([self.attends(steps, steps, steps)[0].mean(dim=1), x.std(dim=1, keepdim=True)], dim=1)

    network, x = Deep().eval(), torch.randn(2, 400)
    for made in (torch.jit.script(network), torch.jit.trace(network, x, check_trace=False)):  # type: ignore[no-untyped-call]
        torch.jit.save(made, str(tmp_path / "d.pt"))  # type: ignore[no-untyped-call]
        read = read_torchscript("d.pt", (tmp_path / "d.pt").read_bytes(), "cpu")
        torch.testing.assert_close(read(x), network(x))
        assert not read.training


def test_operators_of_tensors_that_take_a_file_are_known() -> None:
    """Another version of torch may bring further ones: they belong to what is refused."""
    schemas = torch._C._jit_get_all_schemas()
    words = ("file", "path", "url", "library")
    texts = {(s.name, a.name) for s in schemas for a in s.arguments if str(a.type) == "str"}
    taking = {name for name, argument in texts if any(word in argument for word in words)}
    assert {name for name in taking if name.startswith("aten::")} == {"aten::save", "aten::from_file"}
