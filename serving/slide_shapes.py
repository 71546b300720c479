"""What slides are drawn with: texts, rectangles, lines and tables, placed in inches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pptx.dml.color import RGBColor
from pptx.enum.shapes import MSO_CONNECTOR, MSO_SHAPE
from pptx.enum.text import MSO_ANCHOR, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.util import Inches, Pt

from data.cells import whole_text

WIDTH, HEIGHT, MARGIN = 13.333, 7.5, 0.6
"""Of a slide, in inches."""

INK, MUTED, RULE, PAPER = "1D2023", "5B626B", "D5D9DE", "FFFFFF"
LOST, SOFT, BRACKET, FINE = "A63C2B", "DC9F8E", "F5E8E4", "E2E5E9"

Align = Literal["left", "center", "right"]

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\u2028\u2029\ufffe\uffff]")


@dataclass(frozen=True)
class Box:
    """A place on a slide, in inches."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Words:
    """A run of text in one style."""

    text: str
    size: float = 14
    bold: bool = False
    colour: str = INK
    italic: bool = False


def plain(text: str) -> str:
    """Give a text without the characters that a slide cannot hold."""
    return _CONTROL.sub(" ", whole_text(text))


def write(
    shapes: Any,
    box: Box,
    paragraphs: Sequence[Sequence[Words]],
    *,
    align: Align = "left",
    middle: bool = False,
    gap: float = 0,
) -> None:
    """Write paragraphs of runs into a box.

    Parameters
    ----------
    shapes
        The slide's shapes, or a group's.
    box
        Where.
    paragraphs
        Runs in order.
    align, middle
        Where the lines stand; whether they stand in the middle of the box's height.
    gap
        Points between paragraphs.
    """
    frame = shapes.add_textbox(*_emu(box)).text_frame
    frame.word_wrap = True
    frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
    frame.vertical_anchor = MSO_ANCHOR.MIDDLE if middle else MSO_ANCHOR.TOP
    for place, runs in enumerate(paragraphs):
        paragraph = frame.paragraphs[0] if place == 0 else frame.add_paragraph()
        paragraph.alignment = PP_ALIGN[align.upper()]
        paragraph.space_after = Pt(gap)
        _fill(paragraph, runs)


def title(slide: Any, text: str) -> None:
    """Write the slide's title, which the outline shows too."""
    shape = slide.shapes.title
    shape.left, shape.top, shape.width, shape.height = _emu(Box(MARGIN, 0.35, WIDTH - 2 * MARGIN, 0.8))
    frame = shape.text_frame
    frame.word_wrap, frame.vertical_anchor = True, MSO_ANCHOR.MIDDLE
    frame.margin_left = frame.margin_right = 0
    frame.paragraphs[0].alignment = PP_ALIGN.LEFT
    _fill(frame.paragraphs[0], [Words(text, 28, bold=True)])


def rectangle(shapes: Any, box: Box, colour: str) -> None:
    """Draw a filled rectangle; nothing where it has no width."""
    if box.width <= 0 or box.height <= 0:
        return
    shape = shapes.add_shape(MSO_SHAPE.RECTANGLE, *_emu(box))
    shape.fill.solid()
    shape.fill.fore_color.rgb = RGBColor.from_string(colour)
    shape.line.fill.background()
    _without_style(shape)


def line(
    shapes: Any, start: tuple[float, float], end: tuple[float, float], colour: str, weight: float
) -> None:
    """Draw a straight line between two points; ``weight`` in points."""
    ends = [Inches(value) for value in (*start, *end)]
    shape = shapes.add_connector(MSO_CONNECTOR.STRAIGHT, *ends)
    shape.line.color.rgb = RGBColor.from_string(colour)
    shape.line.width = Pt(weight)
    _without_style(shape)


def table(shapes: Any, box: Box, rows: Sequence[tuple[str, str]], size: float = 14) -> None:
    """Draw a table of names and figures, without the theme's colours."""
    grid = shapes.add_table(len(rows), 2, *_emu(box)).table
    grid.first_row = grid.horz_banding = False
    grid.columns[0].width, grid.columns[1].width = Inches(box.width * 0.42), Inches(box.width * 0.58)
    for place, texts in enumerate(rows):
        grid.rows[place].height = Inches(box.height / len(rows))
        for column, text in enumerate(texts):
            cell = grid.cell(place, column)
            cell.fill.background()
            cell.margin_left = cell.margin_right = Inches(0.05)
            cell.vertical_anchor = MSO_ANCHOR.MIDDLE
            colour = INK if column else MUTED
            _fill(cell.text_frame.paragraphs[0], [Words(text, size, colour=colour)])


def _fill(paragraph: Any, runs: Sequence[Words]) -> None:
    for words in runs:
        run = paragraph.add_run()
        run.text = plain(words.text)
        run.font.size, run.font.bold, run.font.italic = Pt(words.size), words.bold, words.italic
        run.font.color.rgb = RGBColor.from_string(words.colour)


def _without_style(shape: Any) -> None:
    """Take away the theme's style, which casts a shadow."""
    for style in shape.element.findall(qn("p:style")):
        shape.element.remove(style)


def _emu(box: Box) -> list[int]:
    return [Inches(value) for value in (box.left, box.top, box.width, box.height)]
