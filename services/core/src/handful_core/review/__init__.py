"""Pictures that serving captured, and what people said about them: kept in MLflow, read by the monitor and the trainer.

`records` says what is kept of a picture and of a review, `store` keeps them.
"""

from handful_core.review.records import (
    REASONS,
    STATUSES,
    Annotation,
    CapturedPicture,
    Probability,
    Reason,
    Review,
    ReviewedObject,
    ScoredObject,
    Status,
)
from handful_core.review.store import ReviewStore, StaleReviewError

__all__ = [
    "REASONS",
    "STATUSES",
    "Annotation",
    "CapturedPicture",
    "Probability",
    "Reason",
    "Review",
    "ReviewStore",
    "ReviewedObject",
    "ScoredObject",
    "StaleReviewError",
    "Status",
]
