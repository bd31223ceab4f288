"""Linear probes: linear maps from a representation of networks to targets, with the strength chosen on validation.

``link="identity"`` is the probe of Schürholt 2021, sec. 4.2: ridge regression, alpha from 1e-5 ... 1e3, chosen by R².
``link="logit"`` is the logit-linear model of Unterthiner 2020, appendix A.3: sigmoid(<w, x> + b), trained to minimise
MSE, for targets in [0, 1]; other targets keep the identity link. The paper trains it with SGD or Adam; here L-BFGS
minimises the same objective over the whole training split. Classes have a linear layer with a softmax that minimises
the cross-entropy (Schürholt 2021, sec. 4.2), again by L-BFGS, with an L2 strength chosen by accuracy.

Outputs of the identity link are cut to the range of the train targets, also where the strength is chosen. The papers do
not say so; without it the weights of one diverged network, of 1e20 and more, decide the error of a whole split.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from zoobench.errors import ZoobenchError
from zoobench.predictors.predictor import Examples

from .stored import check_shape, load_arrays, save_arrays, scaler_arrays, scaler_of

_RIDGE_ALPHAS = 10.0 ** np.arange(-5, 4)
_LOGIT_ALPHAS = 10.0 ** np.arange(-7, -1, 2)
_SOFTMAX_STRENGTHS = 10.0 ** np.arange(-4, 1)


class LinearProbe:
    """Ridge or logit-linear regression on a standardised representation, one model per task.

    Args:
        link: "identity" or "logit".

    Attributes:
        coefficients_: task -> weight vector (D,) on the standardised representation.
        intercepts_: task -> intercept.
        alphas_: task -> chosen regularisation strength.
        ranges_: task of the identity link -> smallest and largest train target, where predictions end.
        classifiers_: task -> fitted ``LogisticRegression``.
    """

    def __init__(self, link: str = "identity") -> None:
        if link not in ("identity", "logit"):
            raise ZoobenchError(f"unknown link {link!r}; choose from: identity, logit")
        self.link = link

    def fit(self, z: np.ndarray, train: Examples, z_validation: np.ndarray, validation: Examples) -> LinearProbe:
        """Fit every column of ``train.targets`` to the representation ``z`` (rows, D) of its networks."""
        self.scaler_ = StandardScaler()
        x = self.scaler_.fit_transform(z.astype(np.float64))
        x_validation = self._scaled(z_validation)
        self.classifiers_ = {
            task: _fit_softmax(x, train.targets[task].to_numpy(), x_validation, validation.targets[task].to_numpy())
            for task in train.targets.columns
            if task in train.classes
        }
        self.coefficients_: dict[str, np.ndarray] = {}
        self.intercepts_: dict[str, float] = {}
        self.alphas_: dict[str, float] = {}
        self.ranges_: dict[str, tuple[float, float]] = {}
        ridge = _RidgePath(x)
        for task in (name for name in train.targets.columns if name not in train.classes):
            y = train.targets[task].to_numpy()
            judge = validation.targets[task].to_numpy()
            candidates = []
            if self.link == "logit" and task in train.bounds:
                for alpha in _LOGIT_ALPHAS:
                    w, b = _fit_logit(x, y, alpha)
                    candidates.append((r2_score(judge, expit(x_validation @ w + b)), alpha, w, b))
            else:
                self.ranges_[task] = float(y.min()), float(y.max())
                for alpha in _RIDGE_ALPHAS:
                    w, b = ridge.solve(y, alpha)
                    predicted = (x_validation @ w + b).clip(*self.ranges_[task])
                    candidates.append((r2_score(judge, predicted), alpha, w, b))
            _, self.alphas_[task], self.coefficients_[task], self.intercepts_[task] = max(
                candidates, key=lambda c: c[0]
            )
        return self

    def predict(self, z: np.ndarray) -> pd.DataFrame:
        """Predict every fitted task from a representation (rows, D): (rows, tasks)."""
        x = self._scaled(z)
        linear = {task: x @ w + self.intercepts_[task] for task, w in self.coefficients_.items()}
        numbers = {
            task: z.clip(*self.ranges_[task]) if task in self.ranges_ else expit(z) for task, z in linear.items()
        }
        return pd.DataFrame(numbers | {task: model.predict(x) for task, model in self.classifiers_.items()})

    def save(self, folder: Path) -> None:
        """Write what was fitted."""
        arrays = scaler_arrays(self.scaler_)
        for task, w in self.coefficients_.items():
            arrays |= {f"{task}.weight": w, f"{task}.bias": np.array([self.intercepts_[task]])}
        for task, model in self.classifiers_.items():
            arrays |= {f"{task}.weight": model.coef_, f"{task}.bias": model.intercept_}
        about = {
            "alphas": self.alphas_,
            "ranges": self.ranges_,
            "classes": {task: model.classes_.tolist() for task, model in self.classifiers_.items()},
        }
        save_arrays(folder, arrays, about)

    def load(self, folder: Path) -> LinearProbe:
        """Be what was saved."""
        arrays, about = load_arrays(folder)
        self.scaler_ = scaler_of(arrays)
        self.alphas_ = about["alphas"]
        features = self.scaler_.n_features_in_
        for task in self.alphas_:
            check_shape(f"{task}.weight", arrays[f"{task}.weight"], (features,))
            check_shape(f"{task}.bias", arrays[f"{task}.bias"], (1,))
        self.ranges_ = {task: (low, high) for task, (low, high) in about["ranges"].items()}
        self.coefficients_ = {task: arrays[f"{task}.weight"] for task in self.alphas_}
        self.intercepts_ = {task: float(arrays[f"{task}.bias"][0]) for task in self.alphas_}
        self.classifiers_ = {}
        for task, classes in about["classes"].items():
            rows = len(classes) if len(classes) > 2 else 1
            check_shape(f"{task}.weight", arrays[f"{task}.weight"], (rows, features))
            check_shape(f"{task}.bias", arrays[f"{task}.bias"], (rows,))
            model = LogisticRegression()
            model.coef_, model.intercept_ = arrays[f"{task}.weight"], arrays[f"{task}.bias"]
            model.classes_ = np.array(classes, dtype=object)
            self.classifiers_[task] = model
        return self

    def _scaled(self, z: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = self.scaler_.transform(z.astype(np.float64))
        return scaled


class _RidgePath:
    """Ridge solutions for any target and strength from one eigendecomposition of the centred features' Gram matrix.

    Of more features than rows it is that of the rows, from which the same solutions follow.
    """

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self.dual = x.shape[1] > x.shape[0]
        self.eigenvalues, self.eigenvectors = np.linalg.eigh(x @ x.T if self.dual else x.T @ x)

    def solve(self, y: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
        """Minimise |y - b - Xw|² + alpha |w|²; the columns of X have mean 0, so b is the mean of y."""
        mean = y.mean()
        aim = y - mean if self.dual else self.x.T @ (y - mean)
        rotated = self.eigenvectors.T @ aim
        solved = self.eigenvectors @ (rotated / (self.eigenvalues.clip(min=0) + alpha))
        return self.x.T @ solved if self.dual else solved, float(mean)


def _fit_logit(x: np.ndarray, y: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Minimise mean (sigmoid(Xw + b) - y)² + alpha |w|²."""

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = theta[:-1], theta[-1]
        p = expit(x @ w + b)
        error = p - y
        slope = 2 * error * p * (1 - p) / len(y)
        gradient = np.append(x.T @ slope + 2 * alpha * w, slope.sum())
        return float((error**2).mean() + alpha * w @ w), gradient

    mean = np.clip(y.mean(), 1e-3, 1 - 1e-3)
    start = np.append(np.zeros(x.shape[1]), np.log(mean / (1 - mean)))
    # The objective is an MSE, often near 1e-3: the default tolerances would stop far from the minimum.
    theta = minimize(
        objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-9, "gtol": 1e-7}
    ).x
    return theta[:-1], float(theta[-1])


def _fit_softmax(x: np.ndarray, y: np.ndarray, x_validation: np.ndarray, judge: np.ndarray) -> LogisticRegression:
    """Minimise cross-entropy plus an L2 penalty, whose strength validates best; of one class that class."""
    if len(found := np.unique(y)) == 1:
        only = LogisticRegression()
        only.coef_, only.intercept_, only.classes_ = np.zeros((1, x.shape[1])), np.zeros(1), found
        return only
    with warnings.catch_warnings():
        # Weak penalties need not converge: the best on validation is kept.
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = [LogisticRegression(C=strength, max_iter=300).fit(x, y) for strength in _SOFTMAX_STRENGTHS]
    return max(models, key=lambda model: model.score(x_validation, judge))
