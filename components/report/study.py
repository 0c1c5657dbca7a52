"""The reference study's own numbers, shown next to a run's.

The study used another protocol (FMA small, 8 genres, clips split at random). Its numbers are
for orientation and never a threshold.
"""

from __future__ import annotations

ACCURACY: dict[str, float] = {
    "dummy": 0.12,
    "knn": 0.44,
    "svm": 0.41,
    "logistic": 0.33,
    "random_forest": 0.47,
    "gradient_boosting": 0.38,
    "xgboost": 0.41,
    "ffnn": 0.354,
    "vgg16": 0.559,
    "resnet34": 0.125,
    "resnet50": 0.125,
}
"""Share of clips that are predicted correctly, by our names of the models."""

PCA_COMPONENTS = 15
PCA_EXPLAINED = 0.76
