from __future__ import annotations

FINGERS = [{"id": i, "name": str(i), "count": i} for i in range(6)] + [{"id": 6, "name": "unknown", "count": None}]
LEAVES = [{"id": 0, "name": "rust", "count": None}, {"id": 1, "name": "healthy", "count": None}]


def detection(kind: int, confidence: float) -> dict[str, object]:
    return {"class": kind, "name": str(kind), "confidence": confidence, "box": [0, 0, 1, 1]}


def answer(*detections: dict[str, object]) -> dict[str, object]:
    return {
        "task": "detect",
        "count": None,
        "detections": list(detections),
        "thresholds": {"confidence": 0.05, "iou": 0.7},
        "request_id": "r",
    }


FOUND = [detection(5, 0.9), detection(6, 0.6), detection(2, 0.25), detection(0, 0.1)]


def test_only_what_is_surer_than_the_threshold_is_seen_as_the_server_does_it(run) -> None:
    assert [d["class"] for d in run("prediction", "aboveThreshold", FOUND, 0.25)] == [5, 6]
    assert [d["class"] for d in run("prediction", "aboveThreshold", FOUND, 0.2499)] == [5, 6, 2]


def test_the_count_is_the_sum_of_what_the_classes_are_worth(script) -> None:
    code = "(m, [found, classes]) => m.totalCount(found, m.classCounts({ classes }))"
    assert script("prediction", code, [FOUND, FINGERS]) == 7
    assert script("prediction", code, [[], FINGERS]) == 0
    assert script("prediction", code, [[detection(6, 0.9)], FINGERS]) == 0


def test_a_model_that_counts_nothing_has_no_count(script) -> None:
    assert (
        script(
            "prediction", "(m, [found, classes]) => m.totalCount(found, m.classCounts({ classes }))", [FOUND, LEAVES]
        )
        is None
    )


def test_the_terms_leave_out_what_is_not_counted(script) -> None:
    code = "(m, [found, classes]) => m.countedValues(found, m.classCounts({ classes }))"
    assert script("prediction", code, [FOUND, FINGERS]) == [5, 2, 0]


def test_what_is_copied_is_what_the_server_would_have_said_at_this_threshold(script) -> None:
    code = "(m, [given, classes]) => m.atThreshold(m.withIds(given), 0.2, m.classCounts({ classes }))"
    seen = script("prediction", code, [answer(*FOUND), FINGERS])
    assert seen == answer(*FOUND[:3]) | {"count": 7, "thresholds": {"confidence": 0.2, "iou": 0.7}}


def test_a_classification_is_copied_as_it_came(script) -> None:
    given = {"task": "classify", "count": None, "detections": [], "probabilities": [{"class": 0, "probability": 1}]}
    assert script("prediction", "(m, x) => m.atThreshold(m.withIds(x), null, new Map())", given) == given


def test_the_likeliest_class_comes_first_and_the_answer_is_not_touched(script) -> None:
    given = [{"name": "a", "probability": 0.2}, {"name": "b", "probability": 0.8}]
    code = "(m, x) => [m.rankClasses(x).map((one) => one.name), x.map((one) => one.name)]"
    assert script("prediction", code, given) == [["b", "a"], ["a", "b"]]


def test_the_threshold_is_the_visitors_else_the_models_and_never_below_what_was_asked(run) -> None:
    def limit(chosen: float | None, own: float) -> float:
        return run(
            "prediction", "effectiveThreshold", {"threshold": chosen, "modelInfo": {"thresholds": {"confidence": own}}}
        )

    assert [limit(None, 0.4), limit(0.6, 0.4), limit(None, 0.01)] == [0.4, 0.6, 0.05]
