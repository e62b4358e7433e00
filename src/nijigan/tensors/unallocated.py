"""Networks without memory: shapes and names only, to be compared with a file or given its tensors."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@contextmanager
def unallocated() -> Iterator[None]:
    """Tensors created in the block have no content and use no memory and no random numbers.

    `torch.device("meta")` alone does that too. But filling or scaling such a tensor, which has no effect, makes torch
    import its compiler. That takes a second, as long as the rest of opening a generator.
    """
    with torch.device("meta"), _Unfilled():
        yield


class _Unfilled(TorchFunctionMode):
    """Leaves tensors as they are created: filling them, or scaling them by a number, changes no shape."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__module__", "") == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        if func in _FILLS or (func in _SCALES and not isinstance(args[1], Tensor)):
            return args[0]
        return (torch.empty if func in _FILLED else func)(*args, **(kwargs or {}))


_FILLS = {Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_}
_SCALES = {Tensor.__truediv__, Tensor.div, Tensor.__mul__, Tensor.mul}
_FILLED = {torch.randn, torch.rand, torch.ones, torch.zeros}
