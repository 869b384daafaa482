"""Filters for numbers, sizes and times: ``{% load readable %}``."""

from __future__ import annotations

from django import template

from gallery.shared import readable, times

register = template.Library()

register.filter("distance", readable.distance)
register.filter("size", readable.size)
register.filter("duration", times.duration)
register.filter("when", times.when)
register.filter("exact", times.exact)
register.filter("day", times.day)
