"""What the view Monitoring computes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handful_core.profile import Feature, FeatureKind
from handful_monitor.domain.comparison import FeatureComparison
from handful_monitor.domain.words import _LESS_MORE, say_change


def _stream(source: str, **more: Any) -> dict[str, Any]:
    return {"model": "fingers", "version": "3", "source": source, **more}


def test_what_needs_eyes_first_comes_first(run) -> None:
    told = {
        "verdicts": [
            _stream("a", verdict="steady"),
            _stream("b", verdict="too few"),
            _stream("c", verdict="changed"),
        ],
        "gathering": [_stream("d", rows=20, needed=250), _stream("a", rows=7, needed=250)],
    }
    found = run("drift", "streamsOf", told)
    assert [(one["source"], one["state"], one["rows"]) for one in found] == [
        ("c", "changed", None),
        ("b", "too few", None),
        ("a", "steady", 7),
        ("d", "gathering", 20),
    ]


def test_since_when_it_has_been_so(run) -> None:
    history = [{"at": str(at), "verdict": verdict} for at, verdict in enumerate(["changed", "steady", "steady"])]
    assert run("drift", "streak", history) == {"verdict": "steady", "since": "1", "count": 2}
    assert run("drift", "streak", history[:1]) == {"verdict": "changed", "since": "0", "count": 1}
    assert run("drift", "streak", []) is None


PARTS = st.lists(st.floats(0, 1), min_size=1, max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(PARTS, st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_columns_stay_in_the_drawing(run, parts, low, width) -> None:
    edges = [low + width * place for place in range(len(parts) + 1)]
    histogram = {"edges": edges, "then": parts, "now": parts[::-1]}
    drawn = run("drift", "histogramColumns", histogram, {"width": 280, "height": 84})
    assert len(drawn) == len(parts)
    for column in drawn:
        assert 0 <= column["x"] <= 280
        for side in (column["then"], column["now"]):
            assert side["height"] >= 0
            assert side["y"] + side["height"] == pytest.approx(84, abs=0.2)
    if any(parts):
        assert max(column["then"]["height"] for column in drawn) == 84


def test_words_that_moved_most_come_first_and_the_rest_is_counted_together(run) -> None:
    then = dict.fromkeys("abcdefgh", 0.1) | {"i": 0.2}
    now = dict(then) | {"h": 0.4, "i": 0.0} | {"new": 0.1}
    parts = run("drift", "wordParts", {"then": then, "now": now})
    assert [part["name"] for part in parts[:3]] == ["h", "i", "new"]
    assert [part["name"] for part in parts][-1] is None
    assert len(parts) == 6
    for side, whole in (("then", then), ("now", now)):
        assert sum(part[side] for part in parts) == pytest.approx(sum(whole.values()))


@pytest.mark.parametrize(("hours", "unit", "place"), [(6, "hours", -6), (96, "days", -4)])
def test_a_long_line_counts_days(script, hours, unit, place) -> None:
    code = """(m, hours) => m.beforeNow(
        [{ at: '2026-11-29T00:00:00Z', v: 3 }], ({ v }) => v, Date.UTC(2026, 10, 29) + hours * 3.6e6)"""
    assert script("drift", code, hours) == {"unit": unit, "points": [[place, 3]]}


WORDS = """async (m, feature) => {
    const { monitoring } = await import('/js/locales/monitoring.fr.js');
    return monitoring.says(feature);
}"""


def _feature(name: str, kind: FeatureKind, **changes: Any) -> dict[str, Any]:
    values = {"statistic": "kolmogorov-smirnov", "value": 0.6, "then": 0.5, "now": 0.3} | changes
    missing = {"then_missing": 0.0, "now_missing": 0.0} | {k: v for k, v in changes.items() if k.endswith("missing")}
    values = {k: v for k, v in values.items() if not k.endswith("missing")}
    found = FeatureComparison(
        Feature(name, kind), p_value=0.001, threshold=0.2, differs=True, effective=250.0, **values, **missing
    )
    return {"name": name, "kind": kind, "differs": True, "says": say_change(found), **values, **missing}


@pytest.mark.parametrize(
    ("feature", "english", "french"),
    [
        (
            _feature("brightness", "continuous"),
            "Pictures are darker than in training",
            "Les images sont plus sombres qu'à l'entraînement",
        ),
        (
            _feature("detections.5", "count", now=0.9),
            "Number of '5' is higher than in training",
            "Nombre de « 5 » : valeurs plus élevées qu'à l'entraînement",
        ),
        (
            _feature("score_mean", "continuous", statistic="rows below", value=0.34),
            "34% of answers are less sure than nearly all in training",
            "Dans 34\u202f% des images, les réponses sont moins sûres que dans presque toutes celles de l'entraînement",
        ),
        (
            _feature("box_area", "continuous", statistic="rows above", value=0.12),
            "In 12% of pictures objects are larger than in nearly all of training",
            "Dans 12\u202f% des images, les objets sont plus grands que dans presque toutes celles de l'entraînement",
        ),
        (
            _feature("score_mean", "continuous", then_missing=0.3, now_missing=0.9, value=0.6),
            "Score mean is missing in 90% of answers, in training in 30%",
            "Score moyen : absent dans 90\u202f% des réponses, à l'entraînement dans 30\u202f%",
        ),
        (
            _feature("contrast", "continuous", now=0.5),
            "Contrast is distributed otherwise than in training",
            "Contraste : autrement répartie qu'à l'entraînement",
        ),
        (
            _feature("first_class", "category", then={"5": 0.1, "2": 0.9}, now={"5": 0.4, "2": 0.6}),
            "The class '2' comes more seldom: 60%, 90% in training",
            "La classe « 2 » vient plus rarement : 60\u202f%, à l'entraînement 90\u202f%",
        ),
    ],
)
def test_a_change_is_said_in_both_languages(script, feature, english, french) -> None:
    assert feature["says"] == english
    assert script("drift", WORDS, feature).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") == french


def test_both_languages_know_the_same_features(script) -> None:
    code = """async (m, names) => {
        const load = async (language) => (await import(`/js/locales/monitoring.${language}.js`)).monitoring;
        const both = [await load('en'), await load('fr')];
        return names.filter((name) => both.some(({ name: say }) => say(name) === name.replaceAll('_', ' ')));
    }"""
    names = [*_LESS_MORE, "format", "first_class", "detections.5", "embedding_03"]
    assert script("drift", code, names) == []
