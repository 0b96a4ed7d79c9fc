"""Turned photos: whatever their orientation and file type, an export holds them upright, and nobody turns it twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

image = pytest.importorskip("PIL.Image", reason="Pillow writes the photos")

from hnm_core.export import LAYOUTS, ExportSettings, ExportSummary, export_weighted  # noqa: E402
from hnm_core.export.upright import write_upright  # noqa: E402
from hnm_core.io.pictures import image_size, is_oriented, open_picture  # noqa: E402
from hnm_core.verify import verify_export  # noqa: E402
from tests.exports import TRUTH, entries, photographs  # noqa: E402

ORIENTATION = 274
TRANSPOSED = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""What Pillow's ``transpose`` does to the stored pixels for each orientation."""
LOSSLESS: dict[str, dict[str, Any]] = {
    "png": {},
    "tiff": {},
    "tif": {"compression": "tiff_lzw"},
    "webp": {"lossless": True},
}
LOSSY: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 90},
    "jpeg": {"quality": 75, "subsampling": 1},
    "webp": {"quality": 90},
    "mpo": {"save_all": True},
}


def scene() -> Any:
    """64 × 40 pixels, no two corners equal."""
    y, x = np.mgrid[:40, :64]
    values = np.stack([x * 4, y * 6, (x + y) * 2], axis=2).astype(np.uint8)
    values[:12, :12] = 255
    return image.fromarray(values)


def photo(folder: Path, suffix: str, turn: int, options: dict[str, Any]) -> tuple[Path, Any]:
    """Write a photo with an orientation; return its path and how it looks upright."""
    exif = image.Exif()
    exif[ORIENTATION] = turn
    path = folder / f"photo.{suffix}"
    more = {"append_images": [scene()]} if suffix == "mpo" else {}
    scene().save(path, exif=exif, **options, **more)
    upright = scene() if turn == 1 else scene().transpose(TRANSPOSED[turn])
    return path, upright


def pixels(path: Path) -> np.ndarray[Any, Any]:
    """Return the stored pixels, as a loader sees them that knows no EXIF."""
    with image.open(path) as opened:
        return np.asarray(opened.convert("RGB"), dtype=np.int64)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_without_loss_it_is_the_same_picture(tmp_path: Path, suffix: str, turn: int) -> None:
    path, upright = photo(tmp_path, suffix, turn, LOSSLESS[suffix])
    assert image_size(path) == upright.size
    assert is_oriented(path) == (turn != 1)
    write_upright(path, tmp_path / f"written.{suffix}")
    written = tmp_path / f"written.{suffix}"
    assert not is_oriented(written)
    assert (pixels(written) == np.asarray(upright, dtype=np.int64)).all()
    with image.open(written) as opened, image.open(path) as before:
        assert opened.format == before.format
        assert opened.info.get("compression") == before.info.get("compression")


@pytest.mark.parametrize("turn", range(2, 9))
@pytest.mark.parametrize("suffix", LOSSY)
def test_with_loss_the_quality_is_kept(tmp_path: Path, suffix: str, turn: int) -> None:
    path, upright = photo(tmp_path, suffix, turn, LOSSY[suffix])
    assert image_size(path) == upright.size
    written = tmp_path / f"written.{suffix}"
    write_upright(path, written)
    assert not is_oriented(written)
    seen = np.asarray(open_picture(path), dtype=np.int64)
    change = np.abs(pixels(written) - seen)
    assert change.mean() < 2.0  # of 255; its blocks lie elsewhere when a side is no multiple of 16
    assert np.abs(seen - np.asarray(upright, dtype=np.int64)).mean() < 6.0


def test_a_jpeg_keeps_its_tables_and_its_colour_profile(tmp_path: Path) -> None:
    exif = image.Exif()
    exif[ORIENTATION] = 6
    scene().save(tmp_path / "a.jpg", exif=exif, quality=83, icc_profile=b"a profile", progressive=True)
    write_upright(tmp_path / "a.jpg", tmp_path / "b.jpg")
    with image.open(tmp_path / "a.jpg") as before, image.open(tmp_path / "b.jpg") as after:
        turned = [np.reshape(table, (8, 8)).T.ravel().tolist() for table in before.quantization.values()]
        assert [list(table) for table in after.quantization.values()] == turned
        assert after.info["icc_profile"] == b"a profile"
        assert after.info["progressive"]


def test_deep_and_transparent_pictures_stay_so(tmp_path: Path) -> None:
    exif = image.Exif()
    exif[ORIENTATION] = 8
    deep = np.arange(6 * 4, dtype=np.uint16).reshape(6, 4) * 2500
    image.fromarray(deep).save(tmp_path / "deep.png", exif=exif)
    clear = np.dstack([np.asarray(scene()), np.full((40, 64), 7, dtype=np.uint8)])
    image.fromarray(clear).save(tmp_path / "clear.webp", exif=exif, lossless=True, exact=True)
    for name in ("deep.png", "clear.webp"):
        write_upright(tmp_path / name, tmp_path / f"upright_{name}")
    with image.open(tmp_path / "upright_deep.png") as written:
        assert (np.asarray(written) == np.rot90(deep)).all()
    with image.open(tmp_path / "upright_clear.webp") as written:
        assert (np.asarray(written) == np.rot90(clear)).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_opencv_which_turns_by_itself_sees_the_same(tmp_path: Path, suffix: str) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV reads the images of Ultralytics")
    for turn in range(2, 9):
        path, upright = photo(tmp_path, suffix, turn, {})
        write_upright(path, tmp_path / f"written.{suffix}")
        seen = cv2.imread(str(tmp_path / f"written.{suffix}"))[:, :, ::-1]
        assert np.abs(seen.astype(int) - np.asarray(upright, dtype=int)).mean() < 6.0


def export(tmp_path: Path, **options: Any) -> ExportSummary:
    """Export four JPEG photographs, of which one is turned."""
    photos = photographs(tmp_path / "originals", ".jpg")
    exif = image.Exif()
    exif[ORIENTATION] = 6
    with image.open(photos["yard"]) as opened:
        opened.save(photos["yard"], exif=exif, quality=95)
    facts: dict[str, Any] = {"report": {}, "run_key": "one", "settings": ExportSettings(**options)}
    return export_weighted(tmp_path / "out", entries(photos), TRUTH, **facts)


@pytest.mark.parametrize("media", ["copy", "symlink"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_holds_turned_photos_upright_and_says_so(tmp_path: Path, layout: str, media: str) -> None:
    pytest.importorskip("yaml", reason="PyYAML reads data.yaml")
    summary = export(tmp_path, layout=layout, media=media)
    said = [sentence for sentence in summary.warnings if "EXIF" in sentence]
    assert len(said) == 1
    assert said[0].startswith("1 photos have an EXIF orientation, first ")
    assert "written as upright copies" in said[0]
    written = sorted((tmp_path / "out").rglob("yard*.jpg"))
    assert written
    for path in written:
        assert not path.is_symlink()
        assert not is_oriented(path)
        assert pixels(path).shape == (96, 64, 3)
    assert all(path.is_symlink() == (media == "symlink") for path in (tmp_path / "out").rglob("field*.jpg"))
    assert is_oriented(tmp_path / "originals" / "yard.jpg")


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("ultralytics", "yolov5")])
def test_references_to_turned_photos_are_refused_where_a_reader_ignores_it(tmp_path: Path, layout: str) -> None:
    with pytest.raises(ValueError, match=r"^1 photos have .* Set media to copy or symlink: then they are written"):
        export(tmp_path, layout=layout, media="reference")
    assert not (tmp_path / "out").exists()


def test_a_file_type_that_cannot_be_turned_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hnm_core.export.upright.WRITTEN_AS", {"PNG": "PNG"})
    with pytest.raises(
        ValueError, match=r"^1 photos have .* cannot be written upright, first .*yard.jpg. Convert them"
    ):
        export(tmp_path)


def test_an_export_of_others_with_turned_photos_is_wrong_for_torch_alone(tmp_path: Path) -> None:
    export(tmp_path, layout="torch")
    exif = image.Exif()
    exif[ORIENTATION] = 3
    path = tmp_path / "out" / "images" / "train" / "yard.jpg"
    with image.open(path) as opened:
        opened.save(path, exif=exif)
    found = verify_export(tmp_path / "out", "torch")
    assert found.problems == (
        "1 of 4 images have an EXIF orientation, which torch ignores, first images/train/yard.jpg: their boxes lie "
        "beside the objects; export again with media copy or symlink",
    )
    assert verify_export(tmp_path / "out", "coco").ok is False  # listed once: torch draws by weight
    assert not any("EXIF" in sentence for sentence in verify_export(tmp_path / "out", "mmdet").problems)
