"""Asset ids for sources that know their images by path."""

from __future__ import annotations

import hashlib
from pathlib import PurePath

_MAX_LENGTH = 120


class AssetIds:
    """Gives each path an id that can name a file: readable where the path allows it, never twice the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, path: PurePath) -> str:
        """The id of an image, from its path below the dataset's folder. Folders called images are left out of it.

        Ids are compared without regard to case, as some file systems do.
        """
        whole = "_".join(part for part in path.with_suffix("").parts if part != "images")
        name = "".join(c if c.isalnum() or c in "-_." else "-" for c in whole).lstrip(".")[:_MAX_LENGTH]
        if name != whole or name.casefold() in self._taken:
            name = f"{name}-{hashlib.sha256(path.as_posix().encode(errors='surrogateescape')).hexdigest()[:8]}"
        self._taken.add(name.casefold())
        return name
