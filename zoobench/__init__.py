"""zoobench: model zoos as Hub datasets, and one scorer for predictors trained on them.

What a script needs is here, and stable: ``zoobench.__all__``. Names and types stand once, in ``__init__.pyi``; each is
loaded when it is asked for, so that ``import zoobench`` is light.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
