"""Processes that Ctrl-C at the terminal does not reach: it is for the one that started them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

NEW_PROCESS_GROUP: Mapping[str, Any]
"""Options of `subprocess.Popen`."""

if sys.platform == "win32":
    NEW_PROCESS_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    NEW_PROCESS_GROUP = {"start_new_session": True}
