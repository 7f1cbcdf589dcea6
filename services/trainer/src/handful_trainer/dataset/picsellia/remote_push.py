"""A dataset version in Picsellia that is written: made if it is not there, with files, labels and annotations.

The SDK signs in, makes dataset, version and labels, and sends the bytes of files. What else it offers is not used: its
`upload_data` logs files that fail and returns the others, `add_data` waits twenty seconds and takes a job that failed
for one that is done, and its import of COCO files cuts boxes to whole pixels, leaves out images without a box, and
finds images by a name that two of them may have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from picsellia.compatibility import add_data_mandatory_query_parameters
from picsellia.exceptions import ResourceConflictError, ResourceNotFoundError
from picsellia.sdk.dataset import Dataset
from picsellia.sdk.dataset_version import DatasetVersion
from picsellia.types.enums import ObjectDataType

from handful_core.errors import DataError, UnavailableError
from handful_trainer.dataset.picsellia.api import RemoteVersion
from handful_trainer.dataset.picsellia.settings import Target

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")
SHA256 = "handful_sha256"
"""Custom metadata of a file that was pushed: by it, it is known again."""
_TYPES = {"detect": "OBJECT_DETECTION", "classify": "CLASSIFICATION"}
_NAMES_AT_ONCE = 1000
_ASSETS_AT_ONCE = 1000
_ANNOTATIONS_AT_ONCE = 100
_PATIENCE = 600.0
"""Seconds until a job, or what the platform does with new files, must be done."""
_PAUSE = 1.0


class WritableVersion(RemoteVersion):
    """A dataset version that may be made.

    Args:
        target: its name, and that of its dataset.
        token: the API token.
        workers: how many calls run at once.
        task: what the version is for, if it is made.
        mark: what its description says, if it is made: by it, a push knows its own.

    Raises:
        ConfigError: the token is refused, or no organisation is chosen.
        UnavailableError: the platform does not answer.
    """

    def __init__(self, target: Target, token: str, workers: int, task: str, mark: str) -> None:
        self._task, self._mark = task, mark
        self.made = False
        """Was the version made just now?"""
        super().__init__(target, token, workers)
        self._lake = self._request("the datalake", self._client.get_datalake)

    def marked(self) -> str:
        """What the version's description says; nothing where the platform does not tell."""
        answer = self._json("the version", f"/api/dataset/version/{self._version.id}")
        return str(answer.get("description") or "") if isinstance(answer, dict) else ""

    def stored(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Files in the datalake that were pushed before, by their sha256.

        Args:
            names: file names to look among.
        """
        path, found = f"/api/datalake/{self._lake.id}/datas", dict[str, dict[str, Any]]()
        for some in _chunks(names, _NAMES_AT_ONCE):
            body = add_data_mandatory_query_parameters({"filenames": some})
            for item in self._listed(path, body):
                sha256 = (item.get("custom_metadata") or {}).get(SHA256)
                if sha256 and item.get("upload_status") != "ERROR":
                    found.setdefault(str(sha256), item)  # Of two, after a lost answer, the first.
        return found

    def upload(self, path: Path, name: str, sha256: str, size: tuple[int, int]) -> dict[str, Any]:
        """Send a file into the datalake.

        Args:
            path: it.
            name: what it is called there.
            sha256: of its content.
            size: width and height in pixels of the upright image.
        """
        connection, lake = self._client.connection, self._lake
        object_name = self._request(
            "a place for a file",
            lambda: connection.generate_data_object_name(name, ObjectDataType.DATA, lake.connector_id),
        )
        _, _, content_type = self._request(
            "room for a file", lambda: connection.upload_file(object_name, path, connector_id=lake.connector_id)
        )
        body = {
            "type": "IMAGE",
            "filename": name,
            "object_name": object_name,
            "content_type": content_type,
            "tags": [],
            "data_source_id": None,
            "meta": {"width": size[0], "height": size[1]},
            "custom_metadata": {SHA256: sha256},
        }
        return dict(self._posted("a new file", f"/api/datalake/{lake.id}/datas", body))

    def wait_for_files(self, names: Sequence[str], wanted: set[str]) -> dict[str, str]:
        """The ids of files by their sha256, once the platform has looked into all of them.

        Raises:
            DataError: it refuses one.
            UnavailableError: it takes too long.
        """
        until = time.monotonic() + _PATIENCE
        while True:
            found = self.stored(names)
            open_ = [s for s in wanted if s not in found or found[s].get("upload_status") != "DONE"]
            if not open_:
                return {sha256: str(found[sha256]["id"]) for sha256 in wanted}
            if time.monotonic() > until:
                raise UnavailableError(
                    f"Picsellia has not taken up {len(open_)} files yet", "run it again later: it goes on"
                )
            time.sleep(_PAUSE)

    def add_assets(self, data_ids: Sequence[str]) -> None:
        """Make assets of files, and wait until they are there.

        Raises:
            DataError: the platform's job failed.
            UnavailableError: it takes too long.
        """
        path = f"/api/dataset/version/{self._version.id}/assets"
        for some in _chunks(data_ids, _ASSETS_AT_ONCE):
            answer = self._posted("new assets", path, {"asset_tag_ids": [], "data_ids": list(some)})
            self._wait_for_job(str(answer["job"]["id"]))

    def label_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Ids of labels by name; those that are missing are made."""
        known = {label.name: str(label.id) for label in self._request("its labels", self._version.list_labels)}
        for name in names:
            if name not in known:
                known[name] = str(self._request("a new label", partial(self._version.create_label, name)).id)
        return known

    def annotate(self, annotations: Sequence[Mapping[str, Any]]) -> None:
        """Replace the annotations of assets; they are accepted.

        Args:
            annotations: asset_id, rectangles and classifications of each.
        """
        path = f"/api/dataset/version/{self._version.id}/bulk-annotations"
        for some in _chunks(annotations, _ANNOTATIONS_AT_ONCE):
            body = {"import_type": "REPLACE", "status": "ACCEPTED", "annotations": list(some)}
            self._posted("new annotations", path, body)

    def _open_dataset(self) -> Dataset:
        name = self._target.dataset
        return self._found_or_made("the dataset", lambda: self._client.get_dataset(name),
                                   lambda: self._client.create_dataset(name))  # fmt: skip

    def _open_version(self, dataset: Dataset) -> DatasetVersion:
        name = self._target.version

        def make() -> DatasetVersion:
            made = dataset.create_version(name, self._mark, _TYPES[self._task])
            self.made = True
            return made

        return self._found_or_made("the version", lambda: dataset.get_version(name), make)

    def _found_or_made(self, what: str, find: Callable[[], _Result], make: Callable[[], _Result]) -> _Result:
        """Made only if it is not there. Of two who make it at once, one finds the other's."""

        def find_or_make() -> _Result:
            try:
                return find()
            except ResourceNotFoundError:
                try:
                    return make()
                except ResourceConflictError:
                    return find()

        return self._request(what, find_or_make)

    def _listed(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        text = json.dumps(body)
        answer = self._request("its files", lambda: self._client.connection.xget(path, data=text).json())
        items = answer.get("items") if isinstance(answer, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            self._refuse_as_foreign()
        return items

    def _posted(self, what: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        text = json.dumps(body)
        answer = self._request(what, lambda: self._client.connection.post(path, data=text).json())
        if not isinstance(answer, dict):
            self._refuse_as_foreign()
        return answer

    def _wait_for_job(self, job_id: str) -> None:
        until = time.monotonic() + _PATIENCE
        while (status := str(self._json("a job", f"/api/job/{job_id}").get("status"))) == "RUNNING":
            if time.monotonic() > until:
                raise UnavailableError("Picsellia is still adding files", "run it again later: it goes on")
            time.sleep(_PAUSE)
        if status != "SUCCESS":
            raise DataError(f"Picsellia's job that adds files ended as {status}", "run it again, or ask its support")


def _chunks(values: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    return (values[start : start + size] for start in range(0, len(values), size))
