"""Reading TorchScript that others wrote: what it may do is looked at before it does anything.

torch reads it with an unpickler of its own that knows tensors, numbers, texts and the file's own classes, and calls no
Python. But a file is code, and some of that runs while torch reads: ``__setstate__`` of its classes, values of their
constants and of arguments that are not given. So first its text is searched for the few words by which code could reach
a file, wherever they stand; then, read but not called, the graphs of all its functions for what is no computation.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tonearm.core.errors import ConfigError

if TYPE_CHECKING:
    from torch.jit import ScriptModule

TO_TORCHSCRIPT = "torch.jit.save(torch.jit.trace(model.eval(), example), FILE)"
PROGRAM = {"archive_format", "models/model.json", "serialized_exported_program.json"}  # what .pt2 files hold
#: All that ``torch.jit.save`` writes; other entries are read by no one, or by readers of older formats.
ENTRY = re.compile(
    r"code/[\w/]+\.py(\.debug_pkl)?|(data|constants|traced_inputs)(\.pkl|/\d+)|extra/.*|version|byteorder|\.data/\w+|"
    r"\.format_version|\.storage_alignment"
)
#: Of a name that is no word, as of the parts of a Sequential: ``getattr(self, "0")`` is ``self.0``.
GETATTR = re.compile(rb'\bgetattr\(([\w.]+), "(\w+)"\)')
WORDS = re.compile(rb"\b(save|from_file|__setstate__|getattr)\b")
NATIVE_CLASS = re.compile(rb"torch[.\n]classes[.\n]")  # torch's own in C++, whose state is set while it is read
#: What computes: the operators of tensors but some, and these of the language itself.
COMPUTING = re.compile(
    r"aten::(?!(save|from_file|manual_seed|seed|set_grad_enabled)$)\w+|prim::(Constant|GetAttr|SetAttr|CallFunction|"
    r"CallMethod|CreateObject|If|Loop|IfThenElse|ListConstruct|ListUnpack|TupleConstruct|TupleUnpack|TupleIndex|"
    r"TupleSlice|DictConstruct|NumToTensor|ConstantChunk|RaiseException|Uninitialized|isinstance|unchecked_cast|"
    r"unchecked_unwrap_optional|abs|min|max|data|device|dtype|layout|shape|type|requires_grad|is_\w+|itemsize|name|"
    r"nbytes|rangelist|tolist|StringIndex|EnumName|EnumValue|ModuleContainerIndex)"
)


def read_torchscript(what: str, data: bytes, device: str) -> ScriptModule:
    """The module of a file, in evaluation mode; nothing of it has run.

    Parameters
    ----------
    what
        What to call it in messages.
    device
        Of torch, where its tensors are to lie.

    Raises
    ------
    ConfigError
        If it is another archive of torch, which would be unpickled, is damaged, or does more than compute.
    """
    import torch
    from torch.jit._recursive import wrap_cpp_module

    try:
        _require_computing_text(what, torch._C.PyTorchFileReader(io.BytesIO(data)))
        functions: Any = torch._C.CompilationUnit()
        importing: Any = torch._C.import_ir_module_from_buffer  # of torch.jit.load, which keeps the functions to itself
        module = importing(functions, data, torch.device(device), {}, False)
        _require_computing_graphs(what, functions)
    except RuntimeError as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ConfigError(f"{what} cannot be read as TorchScript, or is damaged: {why}") from error
    found: ScriptModule = wrap_cpp_module(module).eval()  # type: ignore[no-untyped-call]
    return found


def _require_computing_text(what: str, reader: Any) -> None:
    """Check the archive, by the reader that torch reads it with: other programs may find other entries in it."""
    names = reader.get_all_records()
    if PROGRAM & set(names):
        raise ConfigError(
            f"{what} is a .pt2 file, which torch unpickles: it could run any code. Where you trust it, turn it into "
            f"TorchScript: model = torch.export.load(FILE).module(); {TO_TORCHSCRIPT.replace('model.eval()', 'model')}"
        )
    if "constants.pkl" not in names or not any(name.startswith("code/") for name in names):
        raise ConfigError(f"{what} is a pickle of weights, no TorchScript: save the model with {TO_TORCHSCRIPT}")
    other = [name for name in names if not ENTRY.fullmatch(name)]
    if other or len(set(names)) < len(names):
        raise ConfigError(
            f"{what} holds {', '.join(map(repr, other[:3])) or 'an entry twice'}, which torch.jit.save does not write: "
            "save the model anew"
        )
    for name in names:
        if name.endswith(".pkl") and NATIVE_CLASS.search(reader.get_record(name)):
            raise ConfigError(
                f"{what} is a quantised network or holds other classes of torch itself: save it in floats"
            )
        if name.endswith(".py"):
            _require_computing_words(what, reader.get_record(name))


def _require_computing_words(what: str, text: bytes) -> None:
    while GETATTR.search(text):
        text = GETATTR.sub(rb"\1.\2", text)
    if found := WORDS.search(text):
        raise ConfigError(f"{what} could read or write files while it runs ({found[1].decode()}): an encoder only "
                          f"computes, do not use it, or, if it is yours, trace it: {TO_TORCHSCRIPT}")  # fmt: skip


def _require_computing_graphs(what: str, functions: Any) -> None:
    """Check every function of the file, called or not: some are called by operators, as ``__lt__`` by sorting."""
    seen = 0
    while seen < len(found := functions.get_functions()):  # looking at one may bring further ones
        for function in found[seen:]:
            for node in _nodes(function.graph):
                native = [str(o.type()) for o in node.outputs() if "torch.classes" in str(o.type())]
                if native or not COMPUTING.fullmatch(node.kind()):
                    raise ConfigError(
                        f"{what} uses {', '.join(native) or node.kind()} in {function.name}: an encoder only computes, "
                        f"and this is not known to be computation. If it is yours, trace it: {TO_TORCHSCRIPT}"
                    )
        seen = len(found)


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)
