from __future__ import annotations

import numpy as np
import pytest

CLASSES = [
    {"class": 1, "name": "rust", "probability": 0.2},
    {"class": 0, "name": "healthy", "probability": 0.7},
    {"class": 2, "name": "mildew", "probability": 0.1},
]


def answer(**fields: object) -> dict[str, object]:
    return {"task": "classify", "probabilities": CLASSES, "thresholds": {"confidence": 0.05, "iou": 0.7}, **fields}


def test_the_classes_of_the_prediction_set_are_marked_and_never_left_out(run) -> None:
    shown = run("classification", "classRows", answer(prediction_set=["healthy", "mildew"]), 1)
    assert [(row["name"], row["inSet"]) for row in shown["rows"]] == [("healthy", True), ("mildew", True)]
    assert shown["rest"] == 1


def test_without_a_set_nothing_is_marked(run) -> None:
    shown = run("classification", "classRows", answer(prediction_set=None))
    assert [(row["name"], row["inSet"]) for row in shown["rows"]] == [
        ("healthy", False), ("rust", False), ("mildew", False)
    ]  # fmt: skip
    assert shown["rest"] == 0


def test_in_live_few_classes_keep_their_places(run) -> None:
    assert [row["class"] for row in run("classification", "steadyRows", answer())] == [0, 1, 2]
    assert [row["class"] for row in run("classification", "steadyRows", answer(), 2)] == [0, 1]


@pytest.mark.parametrize(("own", "uncertain"), [(0.8, True), (0.7, False), (0.25, False)])
def test_an_answer_is_judged_by_the_models_own_threshold(run, own, uncertain) -> None:
    judged = run("classification", "judged", answer(uncertain=False), {"thresholds": {"confidence": own}})
    assert (judged["uncertain"], judged["thresholds"]) == (uncertain, {"confidence": own, "iou": 0.7})


def test_boxes_are_not_judged(run) -> None:
    given = {"task": "detect", "thresholds": {"confidence": 0.05}}
    assert run("classification", "judged", given, {"thresholds": {"confidence": 0.5}}) == given


@pytest.mark.parametrize(("unlike", "level"), [(True, "bad"), (False, "good"), (None, "unknown")])
def test_what_to_make_of_an_answer(run, unlike, level) -> None:
    trust = run("classification", "trustOf", answer(uncertain=True, out_of_distribution=unlike))
    assert trust == [{"kind": "certain", "level": "bad"}, {"kind": "like", "level": level}]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"out_of_distribution": True, "uncertain": True}, "nothing that the model was trained on"),
        ({"uncertain": True, "thresholds": {"confidence": 0.8}}, "No class reaches 80%"),
        ({"prediction_set": ["healthy"]}, "this class alone"),
        ({"prediction_set": ["healthy", "rust"]}, "2 classes"),
        ({}, ""),
    ],
)
def test_the_gravest_doubt_is_said_in_a_sentence(run, fields, words) -> None:
    state = {"request": {"prediction": answer(**fields)}, "modelInfo": {"classes": []}}
    said = run("summary", "summaryOf", state)
    assert words in said["hint"]
    assert said["hint"] or not words
    assert said["doubtful"] is bool(fields.get("uncertain") or fields.get("out_of_distribution"))


def test_before_the_first_answer_a_classifiers_word_is_awaited(run) -> None:
    listing = {"default": "leaves", "models": [{"name": "leaves", "task": "classify", "aliases": {}, "versions": []}]}
    state = {"request": {"prediction": None}, "modelInfo": {"classes": []}, "listing": listing, "choice": None}
    said = run("summary", "summaryOf", state)
    assert (said["label"], said["value"], said["wordy"]) == ("Most likely", None, True)


def test_doubt_is_seen_in_one_word(run) -> None:
    words = [run("prediction", "resultOf", answer(uncertain=doubt), 0.25, {"classes": []}) for doubt in (False, True)]
    assert words == ["healthy", "healthy?"]


def test_a_map_is_interpolated_between_the_middles_of_its_cells(run) -> None:
    line = run("heatmap", "enlarged", [[0, 1]], 4)
    assert np.array(line).shape == (4, 8)
    assert line[0] == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    square = np.array(run("heatmap", "enlarged", [[0, 1], [1, 0]], 2))
    assert square == pytest.approx(square.T)
    assert square[1, 1] == pytest.approx(2 * 0.25 * 0.75)


def test_evidence_is_opaque_and_red_and_where_none_is_the_picture_shows(run) -> None:
    made = run("heatmap", "heatPixels", [[0, 0.5, 1]], 3)
    assert (made["width"], made["height"]) == (3, 1)
    pixels = np.array(made["data"]).reshape(3, 4)
    assert pixels[:, 3].tolist() == [0, 128, 255]
    red, green, _ = pixels[2, :3].tolist()
    assert (red > 200, green < 50) == (True, True)


@pytest.mark.parametrize(
    ("values", "box", "part"),
    [
        ([[0, 1], [0, 0]], [0, 0, 300, 300], {"row": 0, "column": 2}),
        ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], [0, 0, 300, 300], {"row": 1, "column": 1}),
        ([[0, 0], [0.4, 0]], [100, 100, 200, 200], {"row": 1, "column": 1}),
        ([[1, 0], [0, 0]], [-300, 0, 600, 300], {"row": 0, "column": 0}),
        ([[0, 0], [0, 0]], [0, 0, 300, 300], None),
    ],
)
def test_the_strongest_part_is_named_by_thirds_of_the_picture(run, values, box, part) -> None:
    size = {"width": 300, "height": 300}
    assert run("heatmap", "strongestPart", {"values": values, "box": box}, size) == part
