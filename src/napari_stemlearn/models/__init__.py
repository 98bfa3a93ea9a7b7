"""Trained models: their cards, where they lie, and what is done to an image before a network sees it."""
