"""What images and answers are like, in numbers and without pixels: features, a package's profile, rows of a log.

`features` names them, `measurement` measures them, `reference` is what a package's images were like, `rows` is how
served answers are logged. Reading needs no arrays and no OpenCV: only `appearance`, `answer`, `measurement` and
`projection` do.
"""

from handful_core.profile.features import (
    FEATURES_OF_CLASSIFICATION,
    FEATURES_OF_DETECTIONS,
    FEATURES_OF_IMAGE,
    Feature,
    FeatureKind,
    FeatureValue,
    features_of_model,
)
from handful_core.profile.reference import Profile, profile_of, read_profile
from handful_core.profile.rows import LogRow, parse_row, read_rows

__all__ = [
    "FEATURES_OF_CLASSIFICATION",
    "FEATURES_OF_DETECTIONS",
    "FEATURES_OF_IMAGE",
    "Feature",
    "FeatureKind",
    "FeatureValue",
    "LogRow",
    "Profile",
    "features_of_model",
    "parse_row",
    "profile_of",
    "read_profile",
    "read_rows",
]
