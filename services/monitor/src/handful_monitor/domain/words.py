"""Changes in words that need no statistics."""

from __future__ import annotations

from handful_monitor.domain.comparison import FeatureComparison

_LESS_MORE = {
    "megapixels": ("Pictures are smaller than in training", "Pictures are larger than in training"),
    "aspect": ("Pictures are narrower than in training", "Pictures are wider than in training"),
    "brightness": ("Pictures are darker than in training", "Pictures are brighter than in training"),
    "contrast": ("Pictures have less contrast than in training", "Pictures have more contrast than in training"),
    "sharpness": ("Pictures are blurrier than in training", "Pictures are sharper or noisier than in training"),
    "green_red": ("Pictures are greener than in training", "Pictures are redder than in training"),
    "blue_yellow": ("Pictures are bluer than in training", "Pictures are yellower than in training"),
    "saturation": ("Colours are paler than in training", "Colours are stronger than in training"),
    "jpeg_quality": ("Pictures are compressed more than in training", "Pictures are compressed less than in training"),
    "detections": ("Fewer objects are found than in training", "More objects are found than in training"),
    "count": ("Counts are lower than in training", "Counts are higher than in training"),
    "score_largest": ("The surest object is less sure than in training", "The surest object is surer than in training"),
    "score_mean": ("Answers are less sure than in training", "Answers are surer than in training"),
    "score_smallest": ("The least sure object is less sure than in training", "The least sure object is surer than in training"),
    "box_area": ("Objects are smaller than in training", "Objects are larger than in training"),
    "box_area_largest": ("The largest object is smaller than in training", "The largest object is larger than in training"),
    "box_aspect": ("Objects are narrower than in training", "Objects are wider than in training"),
    "box_x": ("Objects are further left than in training", "Objects are further right than in training"),
    "box_y": ("Objects are further up than in training", "Objects are further down than in training"),
    "probability": ("Answers are less sure than in training", "Answers are surer than in training"),
    "margin": ("The first two classes are closer than in training", "The first two classes are further apart than in training"),
    "entropy": ("Answers are more decided than in training", "Answers are less decided than in training"),
    "set_size": ("Fewer classes come into question than in training", "More classes come into question than in training"),
    "distance": ("Pictures are more like the training images than in training", "Pictures are less like the training images"),
    "embedding_rest": ("Pictures are more usual to the network than in training", "Pictures are unlike those of the training"),
}  # fmt: skip
_WORDS = {"first_class": "The class {name!r}", "format": "The format {name!r}"}
_STRANGE = {
    "rows above": "{share:.0%} of pictures have a higher {name} than nearly all in training",
    "rows below": "{share:.0%} of pictures have a lower {name} than nearly all in training",
}
_GAP = 0.02


def say_change(found: FeatureComparison) -> str:
    """What has changed, in one sentence."""
    if found.feature.kind == "category":
        return _of_words(found)
    gap = found.now_missing - found.then_missing
    if abs(gap) >= max(_GAP, abs(found.value) / 2):
        return (
            f"{_title(found)} is missing in {_share(found.now_missing)} of answers, {_share(found.then_missing)} before"
        )
    if found.statistic in _STRANGE:
        return _STRANGE[found.statistic].format(share=found.value, name=_name(found))
    if found.then is None or found.now is None or found.then == found.now:
        return f"{_title(found)} is distributed otherwise than in training"
    less = found.now < found.then
    known = _LESS_MORE.get(found.feature.name)
    return known[not less] if known else f"{_title(found)} is {'lower' if less else 'higher'} than in training"


def _of_words(found: FeatureComparison) -> str:
    names = sorted(set(found.then) | set(found.now))
    gaps = {name: found.now.get(name, 0.0) - found.then.get(name, 0.0) for name in names}
    name = max(names, key=lambda name: abs(gaps[name]))
    subject = _WORDS.get(found.feature.name, f"{_title(found)} {{name!r}}").format(name=name or "none")
    change = "more often" if gaps[name] > 0 else "more seldom"
    return f"{subject} comes {change}: {_share(found.now.get(name, 0.0))}, {_share(found.then.get(name, 0.0))} before"


def _title(found: FeatureComparison) -> str:
    name = _name(found)
    return name[:1].upper() + name[1:]


def _name(found: FeatureComparison) -> str:
    """`detections.3` counts the detections of the class 3."""
    head, dot, rest = found.feature.name.partition(".")
    return f"number of {rest!r}" if dot and head == "detections" else found.feature.name.replace("_", " ")


def _share(part: float) -> str:
    return f"{part:.0%}"
