"""What the site needs beside docs/: pages that lie elsewhere in the repository, and links to them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).resolve().parents[1]
_ELSEWHERE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "models/README.md": "models/fingers.md",
    "models/leaves.md": "models/leaves.md",
}
"""Pages outside of docs/, and where the site has them."""
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere."""
    for source, name in _ELSEWHERE.items():
        files.append(File.generated(config, name, content=(_ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links of the repository into links of the site, and those to its other files into their names."""
    name = page.file.src_uri
    source = next((path for path, there in _ELSEWHERE.items() if there == name), f"docs/{name}")
    return _LINK.sub(lambda link: _site_link(link, posixpath.dirname(source), posixpath.dirname(name)), markdown)


def _site_link(link: re.Match[str], source_folder: str, site_folder: str) -> str:
    target = posixpath.normpath(posixpath.join(source_folder, link["path"]))
    if target in _ELSEWHERE:
        there = _ELSEWHERE[target]
    elif target == "README.md":
        there = "index.md"
    elif target.startswith("docs/"):
        there = target.removeprefix("docs/") + ("/README.md" if (_ROOT / target).is_dir() else "")
    else:
        # A dead link stays as it is, so that a strict build fails.
        return f"{link['text']} (`{target}`)" if (_ROOT / target).exists() else link[0]
    return f"[{link['text']}]({posixpath.relpath(there, site_folder or '.')}{link['anchor'] or ''})"
