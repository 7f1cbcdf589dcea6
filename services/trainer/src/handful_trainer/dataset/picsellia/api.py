"""A dataset version as the Picsellia SDK reaches it.

The SDK signs in and finds organisation, dataset and version. Lists are asked for through its connection page by page:
its own `list_assets` and `load_annotations` drop the number that the platform states, give up on all pages when one
fails, and take a list that ends early for a whole one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import pydantic
import requests
from picsellia import Client
from picsellia.compatibility import add_data_mandatory_query_parameters
from picsellia.exceptions import ForbiddenError, PicselliaError, ResourceNotFoundError, UnauthorizedError
from picsellia.sdk.dataset import Dataset
from picsellia.sdk.dataset_version import DatasetVersion
from requests.adapters import HTTPAdapter

from handful_core.errors import ConfigError, DataError, HandfulError, NotFoundError, UnavailableError
from handful_trainer.dataset.picsellia.retrying import REPEATED_BY_SDK, is_transient, with_retries
from handful_trainer.dataset.picsellia.settings import Target

_Result = TypeVar("_Result")
_PAGE_SIZE = 1000
"""Assets a page: the most that the platform gives."""
_MAX_NAMES_SHOWN = 8


class Connected:
    """Somebody who has signed in. Every call is retried after transient failures.

    Args:
        target: the version that is meant.
        token: the API token.
        workers: how many calls run at once.

    Raises:
        ConfigError: the token is refused, or no organisation is chosen.
        NotFoundError: no such organisation, for this token.
        UnavailableError: the platform does not answer.
    """

    def __init__(self, target: Target, token: str, workers: int) -> None:
        self._target = target
        self.session = requests.Session()
        """For files: without the token, which the SDK adds to its own calls only."""
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=workers, pool_connections=4))
        self._client = self._sign_in(token)

    def close(self) -> None:
        """End the connections."""
        self.session.close()

    def _sign_in(self, token: str) -> Client:
        wanted = self._target.organisation
        chosen = {"organization_id": wanted} if _is_id(wanted) else {"organization_name": wanted or None}

        def connect() -> Client:
            try:
                return Client(api_token=token, host=self._target.host, session=self.session, **chosen)
            except PicselliaError as error:  # It hides what happened to its first call behind a class of no meaning.
                cause = error.__context__
                if isinstance(cause, ResourceNotFoundError):
                    self._refuse_as_foreign()
                if isinstance(cause, PicselliaError | requests.RequestException):
                    raise cause from None
                raise
            except (KeyError, TypeError, pydantic.ValidationError):
                self._refuse_as_foreign()

        try:
            return with_retries(connect, REPEATED_BY_SDK)
        except ResourceNotFoundError:
            raise NotFoundError(
                f"there is no organisation {wanted!r} at {self._target.host}, or this token's owner is not in it",
                "correct dataset.picsellia.organisation",
            ) from None
        except (PicselliaError, requests.RequestException) as error:
            if "no organization" in str(error):
                raise ConfigError(
                    "no organisation is named and the token's owner has none",
                    "set dataset.picsellia.organisation or PICSELLIA_ORGANISATION",
                ) from None
            self._raise_translated("the platform", error)

    def _json(self, what: str, path: str, params: dict[str, Any] | None = None) -> Any:
        return self._request(what, lambda: self._client.connection.get(path, params=params).json())

    def _request(self, what: str, ask: Callable[[], _Result]) -> _Result:
        try:
            return with_retries(ask, REPEATED_BY_SDK)
        except (PicselliaError, requests.RequestException) as error:
            self._raise_translated(what, error)

    def _raise_translated(self, what: str, error: Exception) -> NoReturn:
        """Say what went wrong, without an address: those of files are signed, which makes them secrets."""
        raise translate_error(what, self._target, error) from None

    def _refuse_as_foreign(self) -> NoReturn:
        raise UnavailableError(
            f"{self._target.host} answers, but not as Picsellia does", "check dataset.picsellia.host or PICSELLIA_HOST"
        )


class RemoteVersion(Connected):
    """A dataset version in Picsellia.

    Args:
        target: what is pulled, or pushed into.
        token: the API token.
        workers: how many calls run at once.

    Raises:
        ConfigError: the token is refused, or no organisation is chosen.
        NotFoundError: no such organisation, dataset or version, for this token.
        UnavailableError: the platform does not answer.
    """

    def __init__(self, target: Target, token: str, workers: int) -> None:
        super().__init__(target, token, workers)
        dataset = self._open_dataset()
        self._version = self._open_version(dataset)
        self.description: dict[str, Any] = {
            "host": target.host,
            "organisation": {"id": str(self._client.id), "name": self._client.name},
            "dataset": {"id": str(dataset.id), "name": dataset.name},
            "version": {
                "id": str(self._version.id),
                "name": self._version.version,
                "type": str(self._version.type),
            },
        }
        """What was found, for source.json."""

    def _open_dataset(self) -> Dataset:
        name = self._target.dataset
        return self._find("dataset", name, lambda: self._client.get_dataset(name), self._names)

    def _open_version(self, dataset: Dataset) -> DatasetVersion:
        name = self._target.version
        return self._find("version", name, lambda: dataset.get_version(name), lambda: _versions(dataset))

    def labels(self) -> list[str]:
        """The names of the version's labels."""
        return [label.name for label in self._request("its labels", self._version.list_labels)]

    def asset_pages(self, query: str | None = None) -> Iterator[tuple[list[Any], int]]:
        """The assets, a page at a time, as the platform describes them, each page with the number of all.

        Args:
            query: in Picsellia's query language.
        """
        params: dict[str, Any] = {"limit": _PAGE_SIZE} | ({"q": query} if query else {})
        add_data_mandatory_query_parameters(params)
        path, cursor = f"/api/dataset/version/{self._version.id}/assets", None
        while True:
            answer = self._json("its assets", path, params | ({"cursor": cursor} if cursor else {}))
            items, cursor = _field(answer, "items", list), answer.get("next_cursor")
            yield items, _field(answer, "count", int)
            if not items or not cursor:
                return

    def tags(self) -> list[str]:
        """The names of the tags that assets of this version may have."""
        return [tag.name for tag in self._request("its tags", self._version.list_asset_tags)]

    def annotation_ids(self) -> list[str]:
        """The ids of all annotations, of an asset the newest first."""
        ids = self._json("its annotations", f"/api/dataset/version/{self._version.id}/annotations/ids")
        if not isinstance(ids, list):
            self._refuse_as_foreign()
        return [str(value) for value in ids]

    def annotations(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Annotations with their shapes, in the order that the platform gives them: of an asset the newest first."""
        path = f"/api/dataset/version/{self._version.id}/annotations"
        body = json.dumps(list(ids))
        found = self._request("its annotations", lambda: self._client.connection.xget(path, data=body).json())
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            self._refuse_as_foreign()
        return found

    def new_presigned_url(self, data_id: str) -> str:
        """A new address to download an asset's file from; the ones of the list are good for an hour."""
        answer = self._json("an address", f"/api/data/{data_id}/presigned-url")
        address = _field(answer, "presigned_url", str)
        return str(address)

    def _find(self, what: str, name: str, look: Callable[[], _Result], others: Callable[[], list[str]]) -> _Result:
        """A thing by its name, or an error that names what there is."""
        try:
            return self._request(f"the {what}", look)
        except NotFoundError:
            known = self._request(f"the {what}s", others)
            more = " and more" if len(known) > _MAX_NAMES_SHOWN else ""
            there = f"there is {', '.join(known[:_MAX_NAMES_SHOWN])}{more}"
            where = f"organisation {self._client.name}" if what == "dataset" else f"dataset {self._target.dataset}"
            raise NotFoundError(
                f"the {where} has no {what} {name!r}", there if known else f"it has no {what} at all, for this token"
            ) from None

    def _names(self) -> list[str]:
        return [dataset.name for dataset in self._client.list_datasets()]


def translate_error(what: str, target: Target, error: Exception) -> HandfulError:
    """The SDK's error as one of ours."""
    if isinstance(error, UnauthorizedError | ForbiddenError):
        return ConfigError(
            f"Picsellia at {target.host} refuses the token",
            "make another (Profile settings > Token), put it into PICSELLIA_TOKEN or PICSELLIA_TOKEN_FILE",
        )
    if isinstance(error, ResourceNotFoundError):
        return NotFoundError(
            f"Picsellia at {target.host} does not find {what} ({target})", "check the names and the host"
        )
    if isinstance(error, requests.JSONDecodeError):
        return UnavailableError(f"{target.host} answers with something that is not JSON", "check the host")
    if is_transient(error):
        reason = error.message if isinstance(error, PicselliaError) else type(error).__name__
        return UnavailableError(
            f"Picsellia at {target.host} does not give {what} ({' '.join(reason.split())[:120]})",
            "check the network and the host, or try again later: it goes on where it stopped",
        )
    reason = " ".join(str(error).split())[:200] if isinstance(error, PicselliaError) else type(error).__name__
    return DataError(f"Picsellia refuses to give {what} of {target} ({reason})", "look at the dataset in Picsellia")


def _versions(dataset: Dataset) -> list[str]:
    versions: list[DatasetVersion] = dataset.list_versions()
    return [version.version for version in versions]


def _field(answer: Any, name: str, kind: type) -> Any:
    if not isinstance(answer, dict) or not isinstance(answer.get(name), kind):
        raise UnavailableError(f"the platform's answer has no {name}", "check the host; it may be no Picsellia")
    return answer[name]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
