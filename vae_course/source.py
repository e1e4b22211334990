"""Show a function as it is in the package: what a chapter shows is what runs."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


@dataclass(frozen=True)
class Source:
    """Source code, highlighted where the front end shows HTML.

    Attributes:
        code: as it stands in the package.
    """

    code: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        html = highlight(self.code, PythonLexer(), HtmlFormatter(noclasses=True, nobackground=True))
        return {"text/html": f'<div class="vae-source">{html}</div>', "text/plain": self.code}


def show_source(thing: type | Callable[..., Any]) -> Source:
    """Return the source of a function or class of the package, `inspect.getsource` unchanged."""
    return Source(inspect.getsource(thing))
