"""Speed and size, measured against what people do otherwise; every module says how it is run."""
