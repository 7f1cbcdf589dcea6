"""Changes in words that need no statistics."""

from __future__ import annotations

from handful_monitor.domain.comparison import FeatureComparison

_LESS_MORE = {
    "megapixels": ("Pictures are smaller", "Pictures are larger"),
    "aspect": ("Pictures are narrower", "Pictures are wider"),
    "brightness": ("Pictures are darker", "Pictures are brighter"),
    "contrast": ("Pictures have less contrast", "Pictures have more contrast"),
    "sharpness": ("Pictures are blurrier", "Pictures are sharper or noisier"),
    "green_red": ("Pictures are greener", "Pictures are redder"),
    "blue_yellow": ("Pictures are bluer", "Pictures are yellower"),
    "saturation": ("Colours are paler", "Colours are stronger"),
    "jpeg_quality": ("Pictures are compressed more", "Pictures are compressed less"),
    "detections": ("Fewer objects are found", "More objects are found"),
    "count": ("Counts are lower", "Counts are higher"),
    "score_largest": ("The surest object is less sure", "The surest object is surer"),
    "score_mean": ("Answers are less sure", "Answers are surer"),
    "score_smallest": ("The least sure object is less sure", "The least sure object is surer"),
    "box_area": ("Objects are smaller", "Objects are larger"),
    "box_area_largest": ("The largest object is smaller", "The largest object is larger"),
    "box_aspect": ("Objects are narrower", "Objects are wider"),
    "box_x": ("Objects are further left", "Objects are further right"),
    "box_y": ("Objects are further up", "Objects are further down"),
    "probability": ("Answers are less sure", "Answers are surer"),
    "margin": ("The first two classes are closer", "The first two classes are further apart"),
    "entropy": ("Answers are more decided", "Answers are less decided"),
    "set_size": ("Fewer classes come into question", "More classes come into question"),
    "distance": ("Pictures are more usual", "Pictures are stranger"),
    "embedding_rest": ("Pictures are more usual to the network", "Pictures are stranger to the network"),
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
    then, now = _share(found.then_missing), _share(found.now_missing)
    gap = found.now_missing - found.then_missing
    if abs(gap) >= max(_GAP, abs(found.value) / 2):
        return f"{_title(found)} is missing in {now} of answers, in training in {then}"
    if found.statistic in _STRANGE:
        return _beyond(found)
    if found.then is None or found.now is None or found.then == found.now:
        return f"{_title(found)} is distributed otherwise than in training"
    less = found.now < found.then
    known = _LESS_MORE.get(found.feature.name)
    return f"{known[not less] if known else _title(found) + (' is lower' if less else ' is higher')} than in training"


def _beyond(found: FeatureComparison) -> str:
    """Of rows beyond nearly all of the reference's: their part is what has changed, not the middle of all."""
    known = _LESS_MORE.get(found.feature.name)
    if known is None:
        return _STRANGE[found.statistic].format(share=found.value, name=_name(found))
    subject, rest = known[found.statistic == "rows above"].split(" ", 1)
    if subject in {"Pictures", "Answers"}:
        return f"{found.value:.0%} of {subject.lower()} {rest} than nearly all in training"
    return f"In {found.value:.0%} of pictures {subject.lower()} {rest} than in nearly all of training"


def _of_words(found: FeatureComparison) -> str:
    names = sorted(set(found.then) | set(found.now))
    gaps = {name: found.now.get(name, 0.0) - found.then.get(name, 0.0) for name in names}
    name = max(names, key=lambda name: abs(gaps[name]))
    subject = _WORDS.get(found.feature.name, f"{_title(found)} {{name!r}}").format(name=name or "none")
    change = "more often" if gaps[name] > 0 else "more seldom"
    return (
        f"{subject} comes {change}: {_share(found.now.get(name, 0.0))}, {_share(found.then.get(name, 0.0))} in training"
    )


def _title(found: FeatureComparison) -> str:
    name = _name(found)
    return name[:1].upper() + name[1:]


def _name(found: FeatureComparison) -> str:
    """`detections.3` counts the detections of the class 3."""
    head, dot, rest = found.feature.name.partition(".")
    return f"number of {rest!r}" if dot and head == "detections" else found.feature.name.replace("_", " ")


def _share(part: float) -> str:
    return f"{part:.0%}"
