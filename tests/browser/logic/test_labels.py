from __future__ import annotations

FRAME = {"width": 400, "height": 300}
SIZE = {"width": 60, "height": 20}


def rect(x: float, y: float, width: float = 100, height: float = 80) -> dict[str, float]:
    return {"x": x, "y": y, "width": width, "height": height}


def place(run, *rects: dict[str, float]) -> list[dict[str, float]]:
    return run("labels", "placeLabels", list(rects), [SIZE] * len(rects), FRAME)


def overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    return (
        a["x"] < b["x"] + b["width"]
        and b["x"] < a["x"] + a["width"]
        and a["y"] < b["y"] + b["height"]
        and b["y"] < a["y"] + a["height"]
    )


def test_a_label_stands_on_its_box(run) -> None:
    assert place(run, rect(50, 100)) == [{"x": 50, "y": 80, **SIZE}]


def test_a_label_never_leaves_the_picture(run) -> None:
    for label in place(run, rect(0, 0), rect(380, 290, 20, 10), rect(-30, 150)):
        assert 0 <= label["x"] <= FRAME["width"] - SIZE["width"]
        assert 0 <= label["y"] <= FRAME["height"] - SIZE["height"]


def test_labels_of_boxes_at_one_place_do_not_cover_each_other(run) -> None:
    labels = place(run, *[rect(100, 100)] * 4)
    assert not [(a, b) for i, a in enumerate(labels) for b in labels[:i] if overlap(a, b)]


def test_where_there_is_no_room_the_label_stays_at_its_box(run) -> None:
    labels = place(run, *[rect(0, 0, 30, 10)] * 9)
    assert labels[-1] == labels[0]
