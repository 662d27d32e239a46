"""One run over a surface, step by step: whatever the method, whatever the rows."""

from .descent import Descent as Descent
from .path import Path as Path
