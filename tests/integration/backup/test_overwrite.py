"""What `--overwrite` replaces, and what an import without it leaves as it is."""

from __future__ import annotations

from pathlib import Path

from support.backup_house import Handful, House
from support.contents import files_in


def test_a_file_that_changed_and_kept_its_size_is_brought_back(
    embedded: House, exact_zip: Path, blank: House, handful: Handful
) -> None:
    assert handful("import", exact_zip, *blank.exact) == 0
    wanted = files_in(Path(embedded.artifacts))
    (big,) = Path(blank.artifacts).rglob("weights.bin")
    content = bytearray(big.read_bytes())
    content[7] ^= 1
    big.write_bytes(content)
    assert handful("import", exact_zip, *blank.exact) == 0
    assert files_in(Path(blank.artifacts)) != wanted
    assert handful("import", exact_zip, "--overwrite", *blank.exact) == 0
    assert files_in(Path(blank.artifacts)) == wanted
