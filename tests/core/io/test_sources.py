"""The same boxes in every kind of file give the same tables; pictures are opened in one way."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hnm_core import Detections
from hnm_core.cli import main
from hnm_core.columns import DIFFICULT, GROUP_OF, OBJECT
from hnm_core.io.box_texts import has_corner_lines
from hnm_core.io.pictures import UnreadablePictureError, image_size, leads_outside, open_picture, outside
from hnm_core.io.sources import read_any
from hnm_core.io.truth_files import check_output, read_truth_files

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("yaml")

SIZE = (80, 40)
STEMS = ("0001", "0002", "b side")
TRUTH = [("0001", "red kite", (8, 4, 24, 20)), ("0002", "owl", (0, 0, 16, 8)), ("b side", "owl", (40, 10, 60, 30))]
FOUND = [
    ("0001", "red kite", 0.9, (8, 4, 24, 18)),
    ("0002", "owl", 0.8, (0, 0, 16, 8)),
    ("b side", "owl", 0.7, (0, 0, 8, 8)),
]
NAMES = ["owl", "red kite"]


def pictures(root: Path) -> None:
    (root / "images").mkdir(exist_ok=True)
    for stem in STEMS:
        Image.new("RGB", SIZE).save(root / "images" / f"{stem}.png")


def fractions(box: tuple[int, ...]) -> str:
    x0, y0, x1, y1 = np.array(box) / [*SIZE, *SIZE]
    return f"{(x0 + x1) / 2} {(y0 + y1) / 2} {x1 - x0} {y1 - y0}"


def append(path: Path, line: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write(f"{line}\n")


def yolo(root: Path) -> Path:
    for stem, name, box in TRUTH:
        append(root / "labels" / f"{stem}.txt", f"{NAMES.index(name)} {fractions(box)}")
    (root / "data.yaml").write_text(f"train: images\nnames: {json.dumps(NAMES)}\n")
    return root / "data.yaml"


def coco(root: Path) -> Path:
    content = {
        "images": [{"id": i + 7, "file_name": f"{s}.png", "width": 80, "height": 40} for i, s in enumerate(STEMS)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)],
        "annotations": [
            {"image_id": STEMS.index(s) + 7, "category_id": NAMES.index(n) + 1, "bbox": [x, y, x1 - x, y1 - y]}
            for s, n, (x, y, x1, y1) in TRUTH
        ],
    }
    (root / "gt.json").write_text(json.dumps(content))
    return root / "gt.json"


def voc(root: Path) -> Path:
    (root / "Annotations").mkdir()
    for stem in STEMS:
        objects = "".join(
            f"<object><name>{n}</name><difficult>0</difficult><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin>"
            f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
            for s, n, b in TRUTH
            if s == stem
        )
        size = "<size><width>80</width><height>40</height></size>"
        text = f"<annotation><filename>/elsewhere/{stem}.png</filename>{size}{objects}</annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(text)
    return root


def corner_texts(root: Path) -> Path:
    for stem, name, box in TRUTH:
        append(root / "truth" / f"{stem}.txt", f"{name} {' '.join(map(str, box))}")
    return root / "truth"


def truth_csv(root: Path) -> Path:
    with (root / "truth.csv").open("w", newline="") as file:
        rows = [(f"{s}.png", *SIZE, n, *b) for s, n, b in TRUTH]
        csv.writer(file).writerows([("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"), *rows])
    return root / "truth.csv"


def texts(root: Path) -> Path:
    for stem, name, score, box in FOUND:
        append(root / "found" / f"{stem}.txt", f"{NAMES.index(name)} {fractions(box)} {score}")
    return root / "found"


def results(root: Path) -> Path:
    rows = [
        {"image_id": int(s) if s.isdecimal() else s, "category_id": NAMES.index(n) + 1, "score": score}
        | {"bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]], "file_name": f"{s}.png"}
        for s, n, score, b in FOUND
    ]
    (root / "predictions.json").write_text(json.dumps(rows))
    return root / "predictions.json"


def scored_corners(root: Path) -> Path:
    for stem, name, score, box in FOUND:
        append(root / "scored" / f"{stem}.txt", f"{name} {score} {' '.join(map(str, box))}")
    return root / "scored"


def scored_csv(root: Path) -> Path:
    with (root / "found.csv").open("w", newline="") as file:
        rows = [(f"images/{s}.png", n, score, b[0], b[1], b[2] - b[0], b[3] - b[1]) for s, n, score, b in FOUND]
        csv.writer(file, delimiter=";").writerows([("image", "label", "confidence", "x", "y", "w", "h"), *rows])
    return root / "found.csv"


Maker = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("line", "corners"),
    [
        ("0 0.9 10 20 50 60", True),
        ("owl 0.9 0.1 0.2 0.5 0.6", True),
        ("2 owls 0.9 10 20 50 60", True),
        ("0 0.3 0.3 0.4 0.5 90", False),  # a percentage
        ("0 19 14 12 9 0.9", False),  # a box of YOLO's order in pixels
        ("0 0.5 0.5 0.2 0.2 0.9", False),
    ],
)
def test_lines_of_corners_are_told_from_yolos(tmp_path: Path, line: str, corners: bool) -> None:
    (tmp_path / "a.txt").write_text(f"\n{line}\n")
    assert has_corner_lines(tmp_path, scored=True) is corners


@pytest.mark.parametrize("found", [texts, results, scored_corners, scored_csv])
@pytest.mark.parametrize("truth", [yolo, coco, voc, corner_texts, truth_csv])
@pytest.mark.filterwarnings("ignore:.*file_name of one image")
def test_every_kind_of_file_gives_the_same_tables(tmp_path: Path, truth: Maker, found: Maker) -> None:
    pictures(tmp_path)
    (tmp_path / "again").mkdir()
    if found in (texts, results) and truth in (voc, corner_texts, truth_csv):
        with pytest.raises(
            ValueError, match=r"has classes as numbers, but .* has class names: give .*--prediction-names"
        ):
            read_any(truth(tmp_path / "again"), found(tmp_path / "again"))
        shutil.rmtree(tmp_path / "again")
    unknown = truth is corner_texts and found is texts  # no file says how large the images are

    def read() -> tuple[Detections, Detections]:
        names = NAMES if found in (texts, results) else None
        return read_any(truth(tmp_path), found(tmp_path), prediction_names=names)

    if unknown:
        with pytest.raises(ValueError, match="the size of no image is known"):
            read()
        return
    predictions, true = read()
    for table, rows in ((predictions, [(s, n, b) for s, n, _, b in FOUND]), (true, TRUTH)):
        xyxy = table.xyxy * (np.array([*SIZE, *SIZE]) if truth is yolo else 1)
        seen = {
            (Path(table.images[i]).stem, table.classes[c], tuple(np.round(box, 6).tolist()))
            for i, c, box in zip(table.image.tolist(), table.label.tolist(), xyxy, strict=True)
        }
        assert seen == set(rows)
    assert sorted(predictions.score.tolist()) == [0.7, 0.8, 0.9]  # type: ignore[union-attr]


@pytest.mark.parametrize("first", [0, 1])
def test_predictions_json_counts_classes_from_0_or_1(tmp_path: Path, first: int) -> None:
    pictures(tmp_path)
    rows = [
        {"image_id": STEMS.index("0002") + 1, "category_id": first, "bbox": [0, 0, 16, 8], "score": 0.9},
        {"image_id": "0001", "category_id": first + 1, "bbox": [8, 4, 16, 16], "score": 0.9},
    ]
    (tmp_path / "predictions.json").write_text(json.dumps(rows))
    predictions, truth = read_any(yolo(tmp_path), tmp_path / "predictions.json")
    assert predictions.image.tolist() == [1, 0]
    assert [truth.classes[c] for c in predictions.label] == ["owl", "red kite"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "\ufeff \n", r"a\.csv is empty, expected a header"),
        (
            "gt.json",
            '{"images": [], "annotations": [], "categories": []}',
            r"gt\.json names no images: there is nothing",
        ),
        ("a.csv", "image,class\na.png,owl\n", r"a\.csv has no column for box; its header is 'image', 'class'"),
        (
            "a.csv",
            "image,class,x0,y0,x1,y1\na.png,owl,1,2,x,4\n",
            r"line 2: the box \['1', '2', 'x', '4'",
        ),
        (
            "a.csv",
            "image,image,class,x0,y0,x1,y1\na\n",
            r"a\.csv has 1 columns more than once, first 'image': leave one",
        ),
        ("a.csv", ",,image,class,x0,y0,x1,y1\n,,a,owl\n,,a,owl,1\n", r"1 boxes .* line 3: the box \['1', '', '', ''\]"),
        ("a.csv", "image,class,x0,y0,x1,y1\na.png,owl,9,2,3,4\n", "has xmax < xmin or ymax < ymin"),
        (
            "truth/a.txt",
            "owl 1 2 3\nowl 1 2 30 40",
            r"1 boxes or files .*a\.txt:1: expected class x0",
        ),
        ("truth/a.xml", "<annotation><object>", r"a\.xml: no element found"),
        ("truth/a.xml", "<!DOCTYPE x><annotation/>", "declares entities"),
        ("truth/a.txt", "0 0.5 0.5 0.1 0.1", "if they are YOLO's, whose classes are numbers, give the data.yaml"),
        ("truth/a.txt", "owl 0.9 1 2 30 40", r"a\.txt:1: the class would be 'owl 0\.9'; are there more columns"),
        ("truth/a.txt", "Car 0.00 0 -1.57 1 2 30 40 1.5 1.6 3.7 1.0 1.7 20.0 1.9", "are there more columns"),  # KITTI
        (
            "truth/a.xml",
            "<annotation><object><name>owl</name><polygon/></object></annotation>",
            r"a\.xml, object 0: it has no <bndbox>, only name, polygon",
        ),
        (
            "truth/a.xml",
            "<annotations><image/></annotations>",
            r"a\.xml: its root is <annotations>, expected <annotation>",
        ),
        ("a.csv", "image,class,x0,y0,x1,y1,iscrowd\na.png,owl,1,2,3,4,7\n", "line 2: iscrowd is '7', expected true or"),
        ("truth/a.md", "", r"is a folder without \*\.xml"),
    ],
)
def test_what_is_no_such_file_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=said):
        read_truth_files(tmp_path / name if name.endswith(("csv", "json")) else tmp_path / "truth")


def test_pictures_are_upright_in_8_bits_and_named_if_they_are_none(tmp_path: Path) -> None:
    turned = Image.new("RGB", (30, 20), "white")
    turned.putpixel((0, 0), (255, 0, 0))
    exif = turned.getexif()
    exif[274] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    assert image_size(tmp_path / "turned.png") == open_picture(tmp_path / "turned.png").size == (20, 30)
    assert open_picture(tmp_path / "turned.png").getpixel((19, 0)) == (255, 0, 0)
    deep = np.full((20, 30), 30000, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert open_picture(tmp_path / "deep.png").getpixel((3, 3)) == (116, 116, 116)  # 30000 of 65535
    (tmp_path / "cut.png").write_bytes((tmp_path / "deep.png").read_bytes()[:60])
    with pytest.raises(UnreadablePictureError, match=r"cut\.png is not a picture that can be read: "):
        open_picture(tmp_path / "cut.png")


def test_pictures_fail_alike_where_ultralytics_has_replaced_how_pillow_opens(tmp_path: Path) -> None:
    pytest.importorskip("ultralytics", reason="Ultralytics replaces it")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(OSError, match=r"cannot identify image file .*text\.png"):
        image_size(tmp_path / "text.png")
    with pytest.raises(UnreadablePictureError, match=r"text\.png is not a picture that can be read: "):
        open_picture(tmp_path / "text.png")
    for opened in (image_size, open_picture):
        with pytest.raises(FileNotFoundError, match=r"gone\.png"):
            opened(tmp_path / "gone.png")


def test_names_that_lead_outside(tmp_path: Path) -> None:
    names = [
        "a.png",
        "b/../a.png",
        "../a.png",
        str(tmp_path / "a.png"),
        "/etc/passwd",
        str(tmp_path / "../x.png"),
        "b\\..\\..\\c",
    ]
    assert outside(names, tmp_path) == [names[2], *names[4:]]
    assert leads_outside("a\0.png")


@pytest.mark.parametrize("width", ["0", "-40", "1e999", "wide", ""])
def test_a_size_that_is_none_is_unknown(tmp_path: Path, width: str) -> None:
    (tmp_path / "a.csv").write_text(
        f"image,width,height,class,x0,y0,x1,y1\na.png,{width},30,owl,1,2,3,4\nb.png,40,30,owl,1,2,3,4\n"
    )
    sizes = read_truth_files(tmp_path / "a.csv").sizes
    assert sizes is not None
    assert np.isnan(sizes[0]).all()
    assert sizes[1].tolist() == [40, 30]
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    (tmp_path / "a.xml").write_text(
        f"<annotation><size><width>{width}</width><height>30</height></size><object><name>owl</name>{box}</object>"
        f"</annotation>"
    )
    sizes = read_truth_files(tmp_path).sizes
    assert sizes is not None
    assert np.isnan(sizes).all()


@pytest.mark.parametrize("truth", [voc, truth_csv])
def test_what_is_mined_of_other_kinds_can_be_exported(tmp_path: Path, truth: Maker) -> None:
    pictures(tmp_path)
    data, found = truth(tmp_path), scored_corners(tmp_path)
    run, more = (
        tmp_path.parent / f"{tmp_path.name}-run",
        ["--images", str(tmp_path / "images")] if truth is truth_csv else [],
    )
    assert main(["mine", "--data", str(data), "--predictions", str(found), "--output", str(run), *more]) == 0
    assert main(["export", str(run), "--output", str(run / "x"), "--layout", "ultralytics", *more]) == 0
    assert (run / "x" / "labels" / "train" / "0001.txt").read_text().split()[1:] == [
        "0.200000",
        "0.300000",
        "0.200000",
        "0.400000",
    ]


def test_difficult_objects_are_marked(tmp_path: Path) -> None:
    append(tmp_path / "truth" / "a.txt", "owl 1 2 30 40 difficult")
    append(tmp_path / "truth" / "a.txt", "red kite 10 20 30 40")
    assert read_truth_files(tmp_path / "truth").table.kinds().tolist() == [DIFFICULT, OBJECT]


@pytest.mark.parametrize(
    ("text", "kind"),
    [("1", DIFFICULT), ("True", DIFFICULT), ("0", OBJECT), ("FALSE", OBJECT), ("no", OBJECT), ("Unspecified", OBJECT)],
)
def test_flags_of_voc_are_text(tmp_path: Path, text: str, kind: int) -> None:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    (tmp_path / "a.xml").write_text(
        f"<annotation><object><name>owl</name><difficult>{text}</difficult>{box}</object></annotation>"
    )
    assert read_truth_files(tmp_path).table.kinds().tolist() == [kind]


@pytest.mark.parametrize("found", [texts, results, scored_csv])
def test_missing_labels_and_polygons_of_yolo_are_said_whatever_the_predictions_are(
    tmp_path: Path, found: Maker
) -> None:
    pictures(tmp_path)
    data, source = yolo(tmp_path), found(tmp_path)
    (tmp_path / "labels" / "0001.txt").unlink()
    append(tmp_path / "labels" / "0002.txt", "0 0.1 0.1 0.2 0.1 0.2 0.2")
    with (
        pytest.warns(UserWarning, match="1 of 3 images of 'train' have no label file"),
        pytest.warns(UserWarning, match="1 of 3 labels are polygons"),
    ):
        read_any(data, source)


def test_lists_of_images_that_do_not_exist_are_no_background(tmp_path: Path) -> None:
    pictures(tmp_path)
    data, source = yolo(tmp_path), texts(tmp_path)
    listed = [f"images/{stem}.png" for stem in STEMS]
    data.write_text(data.read_text().replace("images", "all.txt"))
    (tmp_path / "all.txt").write_text("\n".join(f"elsewhere/{name}" for name in listed))
    with pytest.raises(FileNotFoundError, match=r"none of the 3 images of 'train' exists, and none has a label file"):
        read_any(data, source)
    (tmp_path / "all.txt").write_text("\n".join([*listed, "images/gone.png"]))
    with pytest.warns(UserWarning, match=r"1 of 4 .* no label file.*; 1 of them do not exist, first .*gone\.png$"):
        read_any(data, source)


@pytest.mark.parametrize("name", ["gt.json.gz", "gt.jsonl", "annotations.xml", "train.txt", "gt.odgt", "best.pt"])
def test_a_file_of_another_kind_is_no_yaml(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(ValueError, match=rf"{name} cannot be read as ground truth: expected data\.yaml"):
        read_any(tmp_path / name, scored_csv(tmp_path))


@pytest.mark.parametrize("truth", [voc, corner_texts])
def test_pictures_elsewhere_say_the_sizes(tmp_path: Path, truth: Maker) -> None:
    pictures(tmp_path)
    data = truth(tmp_path)
    for file in data.glob("Annotations/*.xml"):
        file.write_text(file.read_text().replace("width", "breadth"))
    (tmp_path / "images").rename(tmp_path / "far")
    predictions, _ = read_any(data, texts(tmp_path), prediction_names=NAMES, images=tmp_path / "far")
    assert np.round(predictions.xyxy).tolist() == [list(box) for *_, box in FOUND]


def annotation(folder: Path, stem: str, filename: str, left: int = 1) -> None:
    box = f"<bndbox><xmin>{left}</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    text = f"<annotation><filename>{filename}</filename><object><name>owl</name>{box}</object></annotation>"
    (folder / f"{stem}.xml").write_text(text)


def test_an_xml_file_belongs_to_the_picture_of_its_name(tmp_path: Path) -> None:
    for i, (stem, said) in enumerate([("a", "b.png"), ("b", "a.png"), ("c", "c"), ("7", "d.png")]):
        annotation(tmp_path, stem, said, i)
    for name in "abcd":
        Image.new("RGB", SIZE).save(tmp_path / f"{name}.png")
    said = r"^2 xml files have the <filename> of another picture, first .*a\.xml: b\.png; the picture of their own name"
    with pytest.warns(UserWarning, match=said):
        table = read_truth_files(tmp_path).table
    left = {Path(table.images[i]).name: x for i, x in zip(table.image.tolist(), table.xyxy[:, 0].tolist(), strict=True)}
    assert left == {"a.png": 0, "b.png": 1, "c.png": 2, "d.png": 3}


def test_one_filename_in_every_xml_file_is_refused_without_pictures(tmp_path: Path) -> None:
    for stem in "ab":
        annotation(tmp_path, stem, "image.png")
    with pytest.raises(ValueError, match=r"b\.xml: its <filename> image\.png has an annotation already; correct it"):
        read_truth_files(tmp_path)
    (tmp_path / "far").mkdir()
    for stem in "ab":
        Image.new("RGB", SIZE).save(tmp_path / "far" / f"{stem}.png")
    with pytest.warns(UserWarning, match="2 xml files have the <filename> of another picture"):
        assert len(read_truth_files(tmp_path, images=tmp_path / "far").table.images) == 2


@pytest.mark.parametrize("truth", [voc, corner_texts, yolo, coco])
def test_hidden_files_such_as_those_of_macos_are_left_out(tmp_path: Path, truth: Maker) -> None:
    pictures(tmp_path)
    data, found = truth(tmp_path), scored_corners(tmp_path)
    for file in [*tmp_path.rglob("*.xml"), *tmp_path.rglob("*.txt"), *tmp_path.rglob("*.png")]:
        file.with_name(f"._{file.name}").write_bytes(b"\x00\x05\x16\x07\xff")
    predictions, _ = read_any(data, found)
    assert (len(predictions), len(predictions.images)) == (len(FOUND), len(STEMS))


@pytest.mark.parametrize("truth", [yolo, coco, voc])
def test_class_numbers_of_a_csv_are_those_of_a_data_yaml_or_need_names(tmp_path: Path, truth: Maker) -> None:
    pictures(tmp_path)
    rows = [f"{stem},{NAMES.index(name)},{score},{','.join(map(str, box))}" for stem, name, score, box in FOUND]
    (tmp_path / "found.csv").write_text("\n".join(["image,class,score,x0,y0,x1,y1", *rows]))
    data = truth(tmp_path)
    if truth is not yolo:
        with pytest.raises(ValueError, match=r"found\.csv has classes as numbers, but .* give the names"):
            read_any(data, tmp_path / "found.csv")
    predictions, _ = read_any(data, tmp_path / "found.csv", prediction_names=None if truth is yolo else NAMES)
    assert [predictions.classes[label] for label in predictions.label] == [name for _, name, *_ in FOUND]


def test_a_column_of_class_names_goes_before_one_of_numbers(tmp_path: Path) -> None:
    pictures(tmp_path)
    rows = [f"{stem},7,{name},{score},{','.join(map(str, box))}" for stem, name, score, box in FOUND]
    (tmp_path / "found.csv").write_text("\n".join(["image,class,class_name,score,x0,y0,x1,y1", *rows]))
    assert read_any(coco(tmp_path), tmp_path / "found.csv")[0].classes == tuple(NAMES)


@pytest.mark.parametrize("truth", [yolo, coco, voc])
@pytest.mark.parametrize("found", [texts, results, scored_corners])
def test_classes_that_the_truth_does_not_have_are_said(tmp_path: Path, truth: Maker, found: Maker) -> None:
    pictures(tmp_path)
    data = truth(tmp_path)
    source = found(tmp_path)
    names = ["Owl", "red kite"] if found is not scored_corners else None
    for file in source.iterdir() if found is scored_corners else ():
        file.write_text(file.read_text().replace("owl", "Owl"))
    said = r"2 of 3 predictions are of classes that .* does not have \(1, first 'Owl'\)"
    with pytest.warns(UserWarning, match=said):
        predictions, _ = read_any(data, source, prediction_names=names)
    assert [predictions.classes[label] for label in predictions.label].count("Owl") == 2
    translated, true = read_any(data, source, prediction_names=names, class_map={"Owl": "owl"})
    assert translated.classes == true.classes
    assert set(true.classes) == set(NAMES)


def test_columns_of_a_csv_say_what_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text(  # Open Images writes -1 for unknown
        "ImageID,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsGroupOf,IsInside,difficult\n"
        "a,owl,1,.1,.2,.1,.2,0,1,0,0\na,owl,1,.3,.4,.3,.4,1,0,1,1\na,owl,1,.5,.6,.5,.6,-1,-1,-1,\n"
    )
    assert read_truth_files(tmp_path / "truth.csv").table.kinds().tolist() == [GROUP_OF, DIFFICULT, OBJECT]
    (tmp_path / "found.csv").write_text("image,class,score,x0,y0,x1,y1,ignore\na,owl,.9,.1,.1,.2,.2,x\n")
    assert read_any(tmp_path / "truth.csv", tmp_path / "found.csv")[0].kinds().tolist() == [OBJECT]


def test_mining_reads_the_ground_truth_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close-ups, samples and reviews use what was read for mining."""
    pictures(tmp_path)
    truth, found = coco(tmp_path), results(tmp_path)
    seen: list[str] = []
    opened = Path.open
    counted = lambda path, *args, **more: seen.append(path.name) or opened(path, *args, **more)  # noqa: E731
    monkeypatch.setattr(Path, "open", counted)
    files = ["--data", str(truth), "--predictions", str(found), "--images", str(tmp_path / "images")]
    assert main(["mine", *files, "--output", str(tmp_path / "mined"), "--save-samples"]) == 0
    read = [name for name in seen if name in (truth.name, found.name)]
    assert sorted(read) == sorted([truth.name, found.name])


def test_the_public_reader_takes_text(tmp_path: Path) -> None:
    from hnm_core.io import read_any as public

    pictures(tmp_path)
    predictions, truth = public(str(truth_csv(tmp_path)), str(scored_csv(tmp_path)))
    assert (len(predictions), len(truth)) == (len(FOUND), len(TRUTH))


def test_runs_among_pictures_are_refused_where_these_are_looked_for(tmp_path: Path) -> None:
    for name in ("gt.csv", "gt.json"):
        (tmp_path / name).touch()
    (tmp_path / "pictures").mkdir()
    output, images = tmp_path / "pictures/run", tmp_path / "pictures"
    check_output(output, tmp_path / "gt.json", images=images)  # which names each picture
    with pytest.raises(ValueError, match=r"run lies in .*pictures, which is read with all its files"):
        check_output(output, tmp_path / "gt.csv", images=images)


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["owl", "red kite", "owl"], {"owl", "red kite"}),
        (["a.png", "b.png", "c.png"], {"0", "1"}),  # what differs within a number is no name of it
        (["5", "6", "5"], {"0", "1"}),
        (["owl", "owl", "owl"], {"0", "1"}),
    ],
)
def test_names_beside_the_numbers_of_classes_are_read(tmp_path: Path, names: list[str], classes: set[str]) -> None:
    """YOLOv5 writes both with ``results.pandas().xyxy[0].to_csv()``, its number under *class*."""
    rows = [f"{number},0,0,8,8,{number % 2},{name}" for number, name in enumerate(names)]
    (tmp_path / "gt.csv").write_text("\n".join(["image,xmin,ymin,xmax,ymax,class,name", *rows]))
    assert set(read_truth_files(tmp_path / "gt.csv").table.classes) == classes
