"""What others can check: papers' tables beside ours, how a recipe was chosen, the baselines' submissions made anew.

Every program says how it is run. Papers' numbers stand beside the code that computes ours.
"""
