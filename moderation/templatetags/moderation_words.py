"""Filters for stored codes and texts: ``{% load moderation_words %}``."""

from __future__ import annotations

from django import template

from moderation.access import stored_sentences, words

register = template.Library()

register.filter("word", words.word)
register.filter("sentence", stored_sentences.sentence)
