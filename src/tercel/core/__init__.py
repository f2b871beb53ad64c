"""The compiled heart: pure step functions over records. It imports numba, numpy and math, and
nothing of ours.
"""
