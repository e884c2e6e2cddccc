"""Measure C: does hiding the image change what a model does?"""
