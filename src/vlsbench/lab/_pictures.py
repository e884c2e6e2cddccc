"""What each thing looks like: flat shapes on a square of 100 by 100, the first one at the back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

INK = "#26222b"


@dataclass(frozen=True, slots=True)
class Shape:
    """One primitive; `at` holds its points, or its box and what goes with it."""

    kind: Literal["box", "oval", "poly", "line", "arc"]
    fill: str
    at: tuple[float, ...]
    width: float
    """Of the line, or of the dark outline."""


def _box(
    fill: str, left: float, top: float, right: float, bottom: float, r: float = 0, w: float = 2.5
) -> Shape:
    return Shape("box", fill, (left, top, right, bottom, r), w)


def _oval(fill: str, left: float, top: float, right: float, bottom: float, w: float = 2.5) -> Shape:
    return Shape("oval", fill, (left, top, right, bottom), w)


def _poly(fill: str, *at: float, w: float = 2.5) -> Shape:
    return Shape("poly", fill, at, w)


def _line(fill: str, width: float, *at: float) -> Shape:
    return Shape("line", fill, at, width)


def _arc(
    fill: str, width: float, left: float, top: float, right: float, bottom: float, *turn: float
) -> Shape:
    """Part of an ellipse's edge, clockwise between two angles in degrees from three o'clock."""
    return Shape("arc", fill, (left, top, right, bottom, *turn), width)


_STEEL, _DARK_STEEL, _WOOD, _DARK_WOOD = "#b9c3cc", "#7d8a96", "#c98b4e", "#8a552b"
_RED, _BLUE, _GREEN, _YELLOW, _BLACK = "#d8342f", "#2f6fd0", "#3c9a3c", "#f6c92c", "#3a3d46"
_WHITE, _PINK, _ORANGE, _PURPLE, _CREAM = "#fdfdfb", "#f08cab", "#f08a24", "#7d3fae", "#f7e6bf"
_GLASS = "#bfe6f2"

PICTURES: Mapping[str, tuple[Shape, ...]] = {
    "toaster": (
        _box("#d9a35a", 28, 12, 47, 50, 6),
        _box("#d9a35a", 53, 12, 72, 50, 6),
        _box(_STEEL, 12, 32, 84, 84, 14),
        _line(INK, 4, 22, 40, 74, 40),
        _box(_BLACK, 84, 46, 95, 54, 3),
        _box(_BLACK, 18, 84, 30, 90),
        _box(_BLACK, 66, 84, 78, 90),
        _oval(_RED, 62, 62, 74, 74),
    ),
    "hair dryer": (
        _poly("#b8327e", 44, 50, 66, 50, 60, 94, 42, 94),
        _oval("#e0559f", 34, 10, 82, 60),
        _poly("#e0559f", 50, 14, 50, 56, 8, 50, 8, 22),
        _box(_BLACK, 4, 18, 14, 54, 2),
        _oval(_BLACK, 54, 24, 74, 46),
        _box(_YELLOW, 46, 64, 56, 76, 3),
    ),
    "iron": (
        _arc("#1c4fa0", 9, 22, 14, 90, 70, 180, 350),
        _poly("#4f8fe0", 4, 74, 30, 44, 86, 40, 94, 74),
        _poly(_STEEL, 2, 86, 6, 74, 95, 74, 97, 86),
        _oval(_YELLOW, 62, 50, 76, 64),
    ),
    "kettle": (
        _arc(_BLACK, 7, 26, 4, 74, 56, 180, 360),
        _poly(_RED, 72, 62, 92, 34, 98, 42, 80, 80),
        _poly(_RED, 26, 36, 74, 36, 84, 90, 16, 90),
        _box(_BLACK, 34, 28, 66, 37, 3),
        _oval(_BLACK, 45, 20, 55, 30),
        _line(_WHITE, 4, 32, 48, 27, 78),
    ),
    "lamp": (
        _line(_DARK_STEEL, 6, 50, 48, 50, 86),
        _oval(_DARK_STEEL, 28, 80, 72, 94),
        _poly("#ffd75e", 34, 8, 66, 8, 86, 54, 14, 54),
        _line("#e29b1d", 4, 16, 49, 84, 49),
    ),
    "fan": (
        _line(_DARK_STEEL, 7, 50, 60, 50, 90),
        _box(_DARK_STEEL, 26, 86, 74, 95, 4),
        _oval("#eef6fb", 14, 2, 86, 74, 4),
        _oval("#3aa6c9", 40, 6, 60, 40),
        _oval("#3aa6c9", 18, 34, 52, 56),
        _oval("#3aa6c9", 48, 34, 82, 56),
        _oval(_BLACK, 42, 30, 58, 46),
    ),
    "radio": (
        _line(_DARK_STEEL, 4, 70, 32, 92, 4),
        _box("#a8562a", 6, 30, 94, 88, 8),
        _oval(_CREAM, 14, 40, 52, 78),
        _oval(_BLACK, 24, 50, 42, 68),
        _box(_CREAM, 58, 40, 88, 52),
        _line(_RED, 3, 70, 40, 70, 52),
        _oval(_YELLOW, 58, 60, 71, 73),
        _oval(_YELLOW, 75, 60, 88, 73),
    ),
    "phone": (
        _box(_BLACK, 27, 4, 73, 96, 9),
        _box("#6cc3ff", 32, 14, 68, 82),
        _oval(_WHITE, 45, 84, 55, 93),
        _box(_GREEN, 36, 20, 47, 31, 2, 1),
        _box(_YELLOW, 53, 20, 64, 31, 2, 1),
        _box(_RED, 36, 37, 47, 48, 2, 1),
        _box(_WHITE, 53, 37, 64, 48, 2, 1),
    ),
    "laptop": (
        _box(_BLACK, 18, 14, 82, 64, 5),
        _box("#58b7a8", 23, 19, 77, 59),
        _poly(_STEEL, 14, 64, 86, 64, 97, 86, 3, 86),
        _poly(_DARK_STEEL, 22, 67, 78, 67, 82, 76, 18, 76, w=1),
    ),
    "camera": (
        _box(_BLACK, 32, 16, 62, 34, 4),
        _box("#4b5563", 5, 28, 95, 82, 8),
        _box(_BLACK, 5, 44, 95, 66),
        _oval(_STEEL, 30, 32, 74, 76),
        _oval("#274b8f", 37, 39, 67, 69),
        _oval("#8fc4ff", 43, 45, 53, 55, 0),
        _box(_YELLOW, 78, 33, 89, 41, 1),
        _box(_RED, 12, 21, 25, 29, 2),
    ),
    "flashlight": (
        _poly("#fff3a0", 66, 26, 98, 8, 98, 92, 66, 74, w=0),
        _box(_GREEN, 4, 38, 50, 62, 4),
        _poly("#2b6e2b", 50, 38, 68, 24, 68, 76, 50, 62),
        _box(_RED, 22, 42, 36, 50, 3),
    ),
    "alarm clock": (
        _line(INK, 6, 28, 84, 20, 95),
        _line(INK, 6, 72, 84, 80, 95),
        _oval("#e04b3a", 8, 6, 42, 36),
        _oval("#e04b3a", 58, 6, 92, 36),
        _oval("#e04b3a", 12, 16, 88, 92),
        _oval(_WHITE, 21, 25, 79, 83),
        _line(INK, 5, 50, 54, 50, 33),
        _line(INK, 5, 50, 54, 65, 62),
    ),
    "battery": (
        _box(_STEEL, 42, 3, 58, 14, 2),
        _box(_BLACK, 28, 12, 72, 96, 6),
        _box("#d98324", 28, 12, 72, 40, 6),
        _line(_WHITE, 5, 50, 18, 50, 34),
        _line(_WHITE, 5, 42, 26, 58, 26),
        _line(_WHITE, 5, 42, 82, 58, 82),
    ),
    "knife": (
        _poly("#e3e9ee", 40, 4, 58, 22, 60, 62, 40, 62),
        _box("#5b3a22", 39, 60, 60, 97, 5),
        _oval(_YELLOW, 46, 68, 53, 75, 0),
        _oval(_YELLOW, 46, 82, 53, 89, 0),
    ),
    "scissors": (
        _poly(_STEEL, 46, 60, 26, 6, 34, 4, 56, 54),
        _poly(_STEEL, 54, 60, 74, 6, 66, 4, 44, 54),
        _arc(_RED, 8, 14, 58, 48, 96, 0, 360),
        _arc(_RED, 8, 52, 58, 86, 96, 0, 360),
        _oval(INK, 46, 50, 54, 58),
    ),
    "fork": (
        _line(INK, 11, 50, 46, 50, 95),
        _line(_STEEL, 7, 50, 46, 50, 94),
        _poly(
            *(_STEEL,),
            *(30, 4, 37, 4, 38, 30, 42, 30, 43, 4, 57, 4, 58, 30, 62, 30, 63, 4, 70, 4),
            *(70, 38, 62, 52, 38, 52, 30, 38),
        ),
    ),
    "hammer": (
        _box(_WOOD, 43, 28, 57, 97, 4),
        _poly("#59646f", 14, 20, 30, 10, 72, 10, 72, 36, 44, 36, 34, 28),
        _box("#59646f", 70, 6, 88, 40, 2),
    ),
    "brick": (
        _poly("#e58a62", 6, 40, 26, 20, 96, 20, 76, 40),
        _poly("#933d20", 76, 40, 96, 20, 96, 60, 76, 80),
        _box("#c2593a", 6, 40, 76, 80),
        _oval("#933d20", 30, 25, 42, 35, 1.5),
        _oval("#933d20", 46, 25, 58, 35, 1.5),
        _oval("#933d20", 62, 25, 74, 35, 1.5),
    ),
    "frying pan": (
        _line(INK, 13, 64, 36, 94, 6),
        _line(_DARK_WOOD, 8, 66, 34, 92, 8),
        _oval(_BLACK, 4, 24, 76, 96, 4),
        _oval("#5d626e", 13, 33, 67, 87, 2),
    ),
    "key": (
        _box("#e0b034", 45, 40, 56, 96, 2),
        _box("#e0b034", 55, 74, 72, 82),
        _box("#e0b034", 55, 87, 68, 95),
        _oval("#e0b034", 26, 4, 74, 52),
        _oval(_WHITE, 42, 14, 58, 30),
    ),
    "spray can": (
        _box(_WHITE, 44, 4, 56, 14, 2),
        _poly(_STEEL, 38, 14, 62, 14, 70, 28, 30, 28),
        _box(_PURPLE, 28, 28, 72, 96, 4),
        _box(_YELLOW, 28, 46, 72, 72),
        _oval(_PURPLE, 40, 50, 60, 68),
        *(_oval("#9a8fb0", x, y, x + 5, y + 5, 0) for x, y in ((26, 3), (17, 1), (17, 10))),
    ),
    "rope": (
        *(
            part
            for place in (8, 30, 52)
            for part in (
                _arc(INK, 16, 12, place, 88, place + 40, 0, 360),
                _arc("#d9b56c", 11, 14, place + 2, 86, place + 38, 0, 360),
            )
        ),
        _line(INK, 16, 78, 78, 92, 96),
        _line("#d9b56c", 11, 76, 76, 91, 95),
    ),
    "wine glass": (
        _line(INK, 5, 50, 54, 50, 92),
        _oval(_GLASS, 30, 88, 70, 97),
        _poly(_GLASS, 26, 4, 74, 4, 76, 30, 66, 50, 50, 56, 34, 50, 24, 30),
        _poly("#8c1730", 25, 24, 75, 24, 74, 34, 65, 49, 50, 55, 35, 49, 26, 34, w=1),
    ),
    "vase": (
        _line(_GREEN, 4, 50, 40, 34, 16),
        _line(_GREEN, 4, 50, 40, 66, 14),
        _oval(_PINK, 24, 4, 44, 24),
        _oval(_YELLOW, 56, 3, 76, 23),
        _poly(
            *("#3b5bb5",),
            *(38, 36, 62, 36, 60, 48, 78, 66, 76, 82, 64, 97, 36, 97, 24, 82, 22, 66, 40, 48),
        ),
        _line(_WHITE, 5, 24, 72, 76, 72),
    ),
    "teacup": (
        _arc("#b9a7c9", 4, 34, 4, 46, 22, 90, 270),
        _arc("#b9a7c9", 4, 34, 18, 46, 36, 270, 90),
        _arc("#b9a7c9", 4, 54, 4, 66, 22, 90, 270),
        _arc("#b9a7c9", 4, 54, 18, 66, 36, 270, 90),
        _arc("#2f9e8f", 8, 66, 46, 94, 76, 240, 130),
        _oval("#2f9e8f", 8, 84, 88, 97),
        _poly("#2f9e8f", 16, 42, 80, 42, 74, 74, 62, 88, 34, 88, 22, 74),
        _oval("#7a4a22", 16, 36, 80, 50),
    ),
    "light bulb": (
        _oval("#fff0a3", 20, 3, 80, 63),
        _poly("#fff0a3", 30, 54, 70, 54, 62, 74, 38, 74),
        _line("#e08a00", 3, 42, 72, 38, 38, 50, 48, 62, 38, 58, 72),
        _box(_DARK_STEEL, 37, 72, 63, 90, 3),
        _line(INK, 2, 37, 81, 63, 81),
        _box(INK, 44, 90, 56, 97),
    ),
    "mirror": (
        _box("#b2478c", 44, 60, 56, 97, 4),
        _oval("#b2478c", 18, 3, 82, 67),
        _oval("#dff1f7", 26, 11, 74, 59),
        _line(_WHITE, 5, 36, 40, 54, 20),
        _line(_WHITE, 4, 48, 46, 62, 30),
    ),
    "candle": (
        _oval(_ORANGE, 40, 2, 60, 32, 1.5),
        _oval("#ffe45c", 45, 12, 55, 30, 0),
        _line(INK, 3, 50, 28, 50, 42),
        _box("#f3d9c0", 36, 40, 64, 88, 3),
        _poly("#fff3e3", 36, 40, 64, 40, 64, 52, 58, 60, 53, 48, 46, 56, 40, 50, w=1),
        _oval("#a06a2c", 20, 82, 80, 97),
    ),
    "teddy bear": (
        _oval("#b5763a", 18, 4, 38, 24),
        _oval("#b5763a", 62, 4, 82, 24),
        _oval("#b5763a", 10, 50, 34, 72),
        _oval("#b5763a", 66, 50, 90, 72),
        _oval("#b5763a", 18, 74, 44, 98),
        _oval("#b5763a", 56, 74, 82, 98),
        _oval("#b5763a", 26, 44, 74, 94),
        _oval("#e8c08a", 36, 56, 64, 86, 1),
        _oval("#b5763a", 22, 8, 78, 58),
        _oval("#e8c08a", 38, 34, 62, 54, 1),
        _oval(INK, 36, 24, 43, 31),
        _oval(INK, 57, 24, 64, 31),
        _oval(INK, 46, 37, 54, 43),
    ),
    "balloon": (
        _line(INK, 2.5, 50, 70, 46, 80, 54, 88, 49, 98),
        _poly("#e02c8a", 50, 62, 58, 74, 42, 74),
        _oval("#f0418f", 20, 2, 80, 68),
        _oval("#ffc2dd", 32, 12, 44, 28, 0),
    ),
    "football": (
        _oval(_WHITE, 6, 6, 94, 94, 3),
        _poly(INK, 50, 34, 66, 46, 60, 64, 40, 64, 34, 46),
        _poly(INK, 38, 8, 62, 8, 50, 18),
        _poly(INK, 8, 42, 18, 38, 20, 56, 10, 62),
        _poly(INK, 92, 42, 82, 38, 80, 56, 90, 62),
        _poly(INK, 26, 84, 36, 76, 42, 90, 34, 92),
        _poly(INK, 74, 84, 64, 76, 58, 90, 66, 92),
        *(
            _line(INK, 2.5, *at)
            for at in (
                (50, 34, 50, 18),
                (66, 46, 82, 40),
                (34, 46, 18, 40),
                (60, 64, 66, 78),
                (40, 64, 34, 78),
            )
        ),
    ),
    "bowling ball": (
        _oval("#27357d", 6, 6, 94, 94, 3),
        _oval("#5c72c9", 18, 22, 34, 46, 0),
        _oval("#0c0f26", 44, 18, 56, 30, 0),
        _oval("#0c0f26", 62, 20, 74, 32, 0),
        _oval("#0c0f26", 54, 38, 68, 52, 0),
    ),
    "rubber duck": (
        _poly(_YELLOW, 68, 58, 97, 40, 92, 72),
        _oval(_YELLOW, 16, 46, 90, 94),
        _poly(_ORANGE, 22, 30, 2, 34, 6, 42, 24, 44),
        _oval(_YELLOW, 18, 8, 62, 54),
        _oval(INK, 30, 22, 38, 30, 0),
        _arc("#c98f00", 4, 40, 50, 80, 82, 20, 160),
    ),
    "marble": (
        _oval("#8fe0c8", 10, 10, 90, 90, 3),
        _arc("#157a63", 14, 26, 18, 82, 62, 80, 290),
        _arc("#e2572b", 10, 18, 40, 74, 84, 260, 110),
        _oval(_WHITE, 24, 22, 38, 36, 0),
    ),
    "crayon": (
        _poly("#5aa02c", 42, 18, 58, 18, 55, 3, 45, 3),
        _poly("#5aa02c", 34, 30, 66, 30, 58, 18, 42, 18),
        _box("#8fd14f", 34, 30, 66, 97),
        _box("#3f7a18", 34, 38, 66, 46, 0, 1),
        _box("#3f7a18", 34, 82, 66, 90, 0, 1),
    ),
    "skateboard": (
        _line(INK, 15, 4, 34, 16, 50, 84, 50, 96, 34),
        _line("#19a3a3", 9, 5, 35, 17, 50, 83, 50, 95, 35),
        _box(_STEEL, 20, 56, 34, 64),
        _box(_STEEL, 66, 56, 80, 64),
        _oval(_ORANGE, 16, 60, 38, 82),
        _oval(_ORANGE, 62, 60, 84, 82),
        _oval(_WHITE, 24, 68, 30, 74, 0),
        _oval(_WHITE, 70, 68, 76, 74, 0),
    ),
    "guitar": (
        _box(_DARK_WOOD, 46, 8, 54, 52),
        _box(INK, 41, 2, 59, 14, 2),
        _oval("#d9822b", 30, 38, 70, 68),
        _oval("#d9822b", 20, 56, 80, 98),
        _oval("#d9822b", 33, 44, 67, 80, 0),
        _oval(INK, 42, 58, 58, 72),
        _box(INK, 38, 82, 62, 87),
        _line(_WHITE, 2, 50, 14, 50, 84),
    ),
    "grape": (
        _line("#6b4a1f", 5, 50, 22, 56, 3),
        _poly(_GREEN, 54, 16, 84, 6, 78, 24),
        *(
            _oval(_PURPLE, x, y, x + 24, y + 24)
            for x, y in (
                *((14, 18), (38, 18), (62, 18), (26, 38), (50, 38)),
                *((38, 56), (20, 54), (56, 54), (38, 74)),
            )
        ),
    ),
    "chocolate": (
        _box("#5a2f17", 22, 4, 78, 70, 3),
        *(
            _box("#7b4526", x, y, x + 16, y + 16, 1, 1)
            for y in (8, 28, 48)
            for x in (26, 42 + 2, 60)
        ),
        _poly("#d9dfe6", 16, 52, 28, 58, 40, 52, 52, 58, 64, 52, 76, 58, 84, 52, 84, 97, 16, 97),
        _box(_RED, 16, 66, 84, 90),
    ),
    "onion": (
        _line("#7c9a3d", 5, 46, 20, 38, 3),
        _line("#7c9a3d", 5, 52, 20, 60, 2),
        _poly("#cf8a45", 44, 16, 56, 16, 66, 32, 34, 32),
        _oval("#cf8a45", 10, 26, 90, 90),
        _arc("#8f5722", 3, 30, 26, 70, 90, 90, 270),
        _arc("#8f5722", 3, 30, 26, 70, 90, 270, 90),
        _line("#8f5722", 3, 50, 90, 44, 98),
        _line("#8f5722", 3, 50, 90, 56, 98),
    ),
    "chili pepper": (
        _line("#2f7a2f", 6, 74, 20, 88, 4),
        _poly(
            *("#e0231c",),
            *(60, 20, 84, 22, 88, 40, 78, 62, 56, 82, 28, 94, 5, 95),
            *(30, 82, 48, 62, 56, 40),
        ),
        _poly("#2f7a2f", 58, 22, 72, 10, 87, 24, 78, 30, 70, 26, 64, 30),
        _line("#ff9d8f", 4, 74, 38, 64, 58),
    ),
    "egg": (
        _oval("#f4d3ae", 16, 24, 84, 97),
        _oval("#f4d3ae", 24, 3, 76, 76),
        _oval("#f4d3ae", 19, 12, 81, 94, 0),
        _oval("#fff1df", 34, 20, 48, 42, 0),
    ),
    "fish": (
        _poly("#2f8fb8", 68, 50, 97, 24, 92, 50, 97, 76),
        _poly("#2f8fb8", 34, 32, 56, 12, 62, 34),
        _oval("#57b9dd", 4, 26, 78, 76),
        _arc("#1f6a8c", 4, -6, 30, 30, 72, 300, 60),
        _oval(_WHITE, 13, 40, 25, 52),
        _oval(INK, 17, 44, 22, 49, 0),
    ),
    "milk carton": (
        _box(_WHITE, 34, 3, 66, 14),
        _poly("#cfe3ff", 34, 14, 66, 14, 78, 34, 22, 34),
        _box(_WHITE, 22, 34, 78, 97),
        _box(_BLUE, 22, 68, 78, 97),
        _oval(_BLUE, 38, 42, 62, 62),
    ),
    "mushroom": (
        _poly(_CREAM, 40, 50, 60, 50, 66, 96, 34, 96),
        _poly("#d5281f", 4, 56, 8, 36, 24, 16, 50, 7, 76, 16, 92, 36, 96, 56),
        _oval(_WHITE, 26, 24, 42, 38, 0),
        _oval(_WHITE, 56, 16, 70, 28, 0),
        _oval(_WHITE, 68, 36, 84, 50, 0),
        _oval(_WHITE, 46, 38, 58, 50, 0),
        _oval(_WHITE, 11, 42, 22, 53, 0),
    ),
    "pineapple": (
        _poly(
            *("#2f8f3e",),
            *(50, 40, 26, 30, 36, 28, 26, 12, 42, 20, 50, 1, 58, 20, 74, 12, 64, 28, 74, 30),
        ),
        _oval("#e8a91e", 24, 32, 76, 98),
        *(_line("#8f5f0c", 2.5, 29, y, 71, y + 22) for y in (42, 56, 68)),
        *(_line("#8f5f0c", 2.5, 71, y, 29, y + 22) for y in (42, 56, 68)),
    ),
    "cactus": (
        _box("#2f9a4c", 36, 3, 64, 74, 14),
        _line(INK, 17, 20, 26, 20, 48, 40, 48),
        _line("#2f9a4c", 12, 20, 26, 20, 48, 40, 48),
        _line(INK, 17, 80, 20, 80, 40, 60, 40),
        _line("#2f9a4c", 12, 80, 20, 80, 40, 60, 40),
        *(_line(_WHITE, 2, x, y, x, y + 6) for x, y in ((44, 14), (55, 26), (44, 40), (55, 54))),
        _poly("#c4622f", 24, 70, 76, 70, 69, 97, 31, 97),
    ),
    "pillow": (
        _poly("#6f86d6", 3, 18, 18, 18, 18, 36),
        _poly("#6f86d6", 97, 18, 82, 18, 82, 36),
        _poly("#6f86d6", 3, 84, 18, 84, 18, 66),
        _poly("#6f86d6", 97, 84, 82, 84, 82, 66),
        _box("#9fb4f0", 9, 22, 91, 80, 22, 3),
        _arc("#6f86d6", 3, 40, -10, 60, 44, 50, 130),
        _arc("#6f86d6", 3, 40, 58, 60, 112, 230, 310),
    ),
    "scarf": (
        _poly("#7a1f3d", 22, 24, 46, 28, 40, 92, 16, 92),
        _poly("#a82d55", 78, 24, 54, 28, 62, 80, 86, 80),
        _box("#a82d55", 16, 6, 84, 34, 12),
        *(_line(_CREAM, 5, 19, y, 42, y) for y in (54, 72)),
        *(_line(_CREAM, 5, 59, y, 83, y) for y in (48, 64)),
        *(_line("#7a1f3d", 3, x, 92, x, 98) for x in (19, 25, 31, 37)),
        *(_line("#a82d55", 3, x, 80, x, 87) for x in (65, 71, 77, 83)),
    ),
    "newspaper": (
        _box("#f1efe6", 10, 6, 90, 94),
        _box(INK, 17, 13, 83, 25),
        _box("#9aa0a6", 17, 32, 48, 58),
        *(_line("#6b6f75", 3, 54, y, 83, y) for y in (34, 42, 50, 58)),
        *(_line("#6b6f75", 3, 17, y, 83, y) for y in (67, 75, 83)),
    ),
    "plastic bag": (
        _arc(INK, 5, 24, 3, 50, 55, 180, 360),
        _arc(INK, 5, 50, 3, 76, 55, 180, 360),
        _poly("#ecf7ee", 18, 28, 82, 28, 90, 97, 10, 97),
        _oval("#35b46a", 34, 46, 66, 80),
        _line(_WHITE, 5, 42, 63, 48, 71, 59, 55),
    ),
    "pill bottle": (
        _box(_WHITE, 26, 4, 74, 24, 3),
        *(_line(_DARK_STEEL, 2, x, 8, x, 20) for x in (34, 42, 50, 58, 66)),
        _box("#ee7d2d", 22, 26, 78, 97, 6),
        _box(_WHITE, 22, 42, 78, 82),
        _line(_RED, 6, 50, 50, 50, 74),
        _line(_RED, 6, 38, 62, 62, 62),
    ),
    "coin": (
        _oval("#a9791a", 8, 8, 92, 92, 3),
        _oval("#f0c243", 15, 15, 85, 85, 2),
        _poly(
            *("#a9791a",),
            *(50, 26, 56, 43, 74, 43, 60, 54, 65, 72, 50, 61, 35, 72, 40, 54, 26, 43, 44, 43),
            w=0,
        ),
    ),
    "stool": (
        _poly(_DARK_WOOD, 24, 32, 34, 32, 24, 96, 12, 96),
        _poly(_DARK_WOOD, 66, 32, 76, 32, 88, 96, 76, 96),
        _box(_DARK_WOOD, 22, 62, 78, 70),
        _box(_WOOD, 6, 18, 94, 34, 5),
    ),
}
"""Thing → its shapes. Tests check that it draws every thing of the world and nothing else."""
