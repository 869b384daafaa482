"""``{% script_texts %}``: the address of the texts of scripts, in the language of the page."""

from __future__ import annotations

from django import template

from imgsmlr_site.languages.script_texts import address

register = template.Library()
register.simple_tag(address, name="script_texts")
