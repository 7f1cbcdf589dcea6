from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image, ImageOps

from fakes.exports import encoded, picture, turned
from handful_trainer.dataset.inspection.inspect import WriteMode, inspect_bytes
from handful_trainer.dataset.preparation.link import FileLinker, as_png, transpose_jpeg


def refuse(number: int) -> Any:
    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def placed(tmp_path: Path) -> Path:
    source, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(encoded(picture(1)))
    FileLinker().place(str(source), str(target), WriteMode.LINK)
    assert target.read_bytes() == source.read_bytes()
    return target


def test_an_image_takes_no_room_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful_trainer.dataset.preparation.link._reflink", refuse(errno.EOPNOTSUPP))
    assert placed(tmp_path).stat().st_nlink == 2


def test_across_disks_it_is_a_symbolic_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful_trainer.dataset.preparation.link._reflink", refuse(errno.EOPNOTSUPP))
    monkeypatch.setattr(os, "link", refuse(errno.EXDEV))
    assert placed(tmp_path).is_symlink()


def test_where_there_are_no_links_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful_trainer.dataset.preparation.link._reflink", refuse(errno.EOPNOTSUPP))
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(os, "symlink", refuse(errno.EPERM))
    target = placed(tmp_path)
    assert not target.is_symlink()
    assert target.stat().st_nlink == 1


def test_a_full_disk_is_not_taken_for_a_disk_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful_trainer.dataset.preparation.link._reflink", refuse(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"):
        placed(tmp_path)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_photo_is_written_transpose_jpeg(orientation: int) -> None:
    content = turned(1, orientation)
    found = inspect_bytes(transpose_jpeg(content))
    assert (found.defect, found.orientation, found.width, found.height) == ("", 1, 64, 48)
    assert found.write_mode is WriteMode.LINK
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(transpose_jpeg(content))) as after:
        grey = [np.asarray(image.convert("L"), np.int16) for image in (ImageOps.exif_transpose(before), after)]
    assert np.abs(grey[0] - grey[1]).mean() < 1  # Colours lose a little more, at the edges of this loud picture.


@pytest.mark.parametrize(("form", "mode"), [("PNG", "RGBA"), ("WEBP", "RGB"), ("JPEG", "CMYK"), ("JPEG", "L")])
def test_other_formats_are_turned_too(form: str, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = inspect_bytes(transpose_jpeg(encoded(picture(1).convert(mode), form, exif=exif.tobytes())))
    assert (found.defect, found.format, found.orientation, found.width, found.height) == ("", form, 1, 48, 64)


@pytest.mark.parametrize("form", ["GIF", "TIFF"])
def test_what_not_all_read_becomes_png(form: str) -> None:
    found = inspect_bytes(as_png(encoded(picture(1), form)))
    assert (found.defect, found.format, found.width, found.height) == ("", "PNG", 64, 48)


def test_sixteen_bits_become_eight() -> None:
    deep = Image.fromarray(np.full((20, 20), 0x80FF, np.uint16))
    with Image.open(io.BytesIO(as_png(encoded(deep, "TIFF")))) as image:
        assert image.getpixel((5, 5)) == (0x80, 0x80, 0x80)


def test_a_jpeg_is_sealed_without_a_change_to_its_picture(tmp_path: Path) -> None:
    source, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(encoded(picture(1)) + b"trailer")
    FileLinker().place(str(source), str(target), WriteMode.SEAL)
    assert target.read_bytes().endswith(b"trailer\xff\xd9")
    assert inspect_bytes(target.read_bytes()).write_mode is WriteMode.LINK
    with Image.open(source) as before, Image.open(target) as after:
        assert before.tobytes() == after.tobytes()


def test_a_link_in_the_source_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handful_trainer.dataset.preparation.link._reflink", refuse(errno.EOPNOTSUPP))
    (tmp_path / "a.jpg").write_bytes(b"content")
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    (tmp_path / "sub").mkdir()
    FileLinker().place(str(tmp_path / "b.jpg"), str(tmp_path / "sub" / "c.jpg"), WriteMode.LINK)
    (tmp_path / "b.jpg").unlink()
    assert (tmp_path / "sub" / "c.jpg").read_bytes() == b"content"
    assert not (tmp_path / "sub" / "c.jpg").is_symlink()
