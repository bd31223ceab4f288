from .data.hub import ZooSplit as ZooSplit
from .distributions import Choice as Choice
from .distributions import LogUniform as LogUniform
from .distributions import Uniform as Uniform
from .errors import ZoobenchError as ZoobenchError
from .predictors.predictor import Examples as Examples
from .predictors.predictor import Predictor as Predictor
from .scoring.compare import Comparison as Comparison
from .scoring.compare import compare as compare
from .scoring.harness import evaluate as evaluate
from .scoring.loading import load_zoo as load_zoo
from .scoring.results import Result as Result
from .zoos.layout import Layout as Layout

__version__: str
