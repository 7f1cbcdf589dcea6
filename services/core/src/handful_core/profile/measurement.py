"""All features of one image and its answer: the one implementation, for the trainer and for serving."""

from __future__ import annotations

from collections.abc import Mapping

from handful_core.package import Manifest
from handful_core.profile.answer import answer_features
from handful_core.profile.appearance import appearance
from handful_core.profile.features import FeatureValue, embedding_features
from handful_core.vision.decode import DecodedImage
from handful_core.vision.prediction import Prediction


def features_of(
    data: bytes, image: DecodedImage, prediction: Prediction, manifest: Manifest
) -> dict[str, FeatureValue]:
    """The features of one image and its answer, by name: those of `features_of_model`, in its order.

    Args:
        data: the image file.
        image: the same, decoded.
        prediction: at the model's own thresholds, boxes in pixels of the upright image.
        manifest: the model's.
    """
    return features_from(appearance(data, image), prediction, manifest, image.width, image.height)


def features_from(
    seen: Mapping[str, FeatureValue], prediction: Prediction, manifest: Manifest, width: int, height: int
) -> dict[str, FeatureValue]:
    """The same, where the image itself is no longer at hand.

    Args:
        seen: what `appearance` said of it.
        prediction: as above.
        manifest: the model's.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
    """
    return {**seen, **answer_features(prediction, manifest, width, height), **_embedding(prediction, manifest)}


def _embedding(prediction: Prediction, manifest: Manifest) -> dict[str, FeatureValue]:
    spec = manifest.profile
    if spec is None or spec.projection is None:
        return {}
    names = [feature.name for feature in embedding_features(spec.directions)]
    if prediction.projected is None:
        return dict.fromkeys(names)
    return {name: round(value, 5) for name, value in zip(names, prediction.projected.tolist(), strict=True)}
