"""Measure B: how many harmful pairs are harmful by their text alone?"""
