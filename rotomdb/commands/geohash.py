"""Positions as 52-bit geohashes, and the areas that cover a search (Redis's geohash_helper, by its formulas).

A hash interleaves 26 bits of latitude (even) and 26 of longitude (odd); it is the score of a sorted set, so that an area
is a range of scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LONGITUDE_MAX, LATITUDE_MAX = 180.0, 85.05112878
EARTH_RADIUS_M = 6372797.560856
MERCATOR_MAX_M = 20037726.37
STEP_MAX = 26
ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True)
class Hash:
    """A cell: the first `2 * step` bits."""

    bits: int
    step: int

    @property
    def scores(self) -> tuple[int, int]:
        """The range of full hashes inside, the end exclusive."""
        shift = 2 * (STEP_MAX - self.step)
        return self.bits << shift, (self.bits + 1) << shift


@dataclass(frozen=True)
class Area:
    west: float
    south: float
    east: float
    north: float


def spread(value: int) -> int:
    """Put a zero bit before each of 32 bits."""
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):  # fmt: skip
        value = (value | (value << shift)) & mask
    return value


def squeeze(value: int) -> int:
    """The even bits of a number."""
    value &= 0x5555555555555555
    for shift, mask in (
        (1, 0x3333333333333333), (2, 0x0F0F0F0F0F0F0F0F), (4, 0x00FF00FF00FF00FF), (8, 0x0000FFFF0000FFFF),
        (16, 0x00000000FFFFFFFF),
    ):  # fmt: skip
        value = (value | (value >> shift)) & mask
    return value


def encode(longitude: float, latitude: float, step: int = STEP_MAX, latitude_max: float = LATITUDE_MAX) -> Hash:
    cells = 1 << step
    x = int((longitude + LONGITUDE_MAX) / (2 * LONGITUDE_MAX) * cells)
    y = int((latitude + latitude_max) / (2 * latitude_max) * cells)
    return Hash(spread(y) | (spread(x) << 1), step)


def area_of(cell: Hash) -> Area:
    cells = 1 << cell.step
    y, x = squeeze(cell.bits), squeeze(cell.bits >> 1)
    width, height = 2 * LONGITUDE_MAX, 2 * LATITUDE_MAX
    return Area(
        -LONGITUDE_MAX + (x / cells) * width,
        -LATITUDE_MAX + (y / cells) * height,
        -LONGITUDE_MAX + ((x + 1) / cells) * width,
        -LATITUDE_MAX + ((y + 1) / cells) * height,
    )


def decode(score: float) -> tuple[float, float]:
    """Longitude and latitude of the middle of a full hash's cell."""
    area = area_of(Hash(int(score), STEP_MAX))
    longitude = min(max((area.west + area.east) / 2, -LONGITUDE_MAX), LONGITUDE_MAX)
    return longitude, min(max((area.south + area.north) / 2, -LATITUDE_MAX), LATITUDE_MAX)


def text_of(longitude: float, latitude: float) -> bytes:
    """The standard geohash string, eleven characters."""
    bits = encode(longitude, latitude, latitude_max=90.0).bits
    letters = [ALPHABET[(bits >> (52 - (i + 1) * 5)) & 31] for i in range(10)]
    return "".join([*letters, "0"]).encode()


def latitude_distance(first: float, second: float) -> float:
    return EARTH_RADIUS_M * abs(math.radians(second) - math.radians(first))


def distance(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """Metres over the sphere (haversine)."""
    v = math.sin((math.radians(lon2) - math.radians(lon1)) / 2)
    if v == 0:
        return latitude_distance(lat1, lat2)
    a1, a2 = math.radians(lat1), math.radians(lat2)
    u = math.sin((a2 - a1) / 2)
    return 2.0 * EARTH_RADIUS_M * math.asin(math.sqrt(u * u + math.cos(a1) * math.cos(a2) * v * v))


@dataclass(frozen=True)
class Shape:
    """What is searched, in metres: a circle (`radius`), or a box of `width` by `height`."""

    longitude: float
    latitude: float
    radius: float = 0.0
    width: float = 0.0
    height: float = 0.0
    box: bool = False

    @property
    def reach(self) -> float:
        """Radius of the circle around the shape."""
        return math.sqrt((self.width / 2) ** 2 + (self.height / 2) ** 2) if self.box else self.radius

    def distance_inside(self, longitude: float, latitude: float) -> float | None:
        """Distance from the middle, None when the point is outside."""
        if self.box:
            if latitude_distance(latitude, self.latitude) > self.height / 2:
                return None
            if distance(longitude, latitude, self.longitude, latitude) > self.width / 2:
                return None
            return distance(self.longitude, self.latitude, longitude, latitude)
        metres = distance(self.longitude, self.latitude, longitude, latitude)
        return metres if metres <= self.radius else None

    def bounds(self) -> Area:
        width, height = (self.width, self.height) if self.box else (2 * self.radius, 2 * self.radius)
        tall = math.degrees(height / 2 / EARTH_RADIUS_M)
        # The side nearer to a pole is the wider one in degrees.
        edge = self.latitude - tall if self.latitude < 0 else self.latitude + tall
        wide = math.degrees(width / 2 / EARTH_RADIUS_M / math.cos(math.radians(edge)))
        return Area(self.longitude - wide, self.latitude - tall, self.longitude + wide, self.latitude + tall)


def steps_for(reach: float, latitude: float) -> int:
    """Precision at which nine cells cover the reach."""
    if reach == 0:
        return STEP_MAX
    step = 1
    while reach < MERCATOR_MAX_M:
        reach *= 2
        step += 1
    step -= 2
    if abs(latitude) > 66:
        step -= 1
        if abs(latitude) > 80:
            step -= 1
    return min(max(step, 1), STEP_MAX)


def neighbour(cell: Hash, east: int, north: int) -> Hash:
    """The cell so many cells away, wrapping around."""
    mask = (1 << cell.step) - 1
    y, x = squeeze(cell.bits) + north, squeeze(cell.bits >> 1) + east
    return Hash(spread(y & mask) | (spread(x & mask) << 1), cell.step)


DIRECTIONS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))


def covering_cells(shape: Shape) -> list[Hash]:
    """Cells that cover the shape: the middle one, then N S E W NE NW SE SW, without those that cannot matter."""
    lon, lat = shape.longitude, shape.latitude
    step = steps_for(shape.reach, lat)
    middle = encode(lon, lat, step)
    bounds = shape.bounds()
    if step > 1 and neighbours_too_small(middle, bounds):
        step -= 1
        middle = encode(lon, lat, step)
    area = area_of(middle)
    cells: list[Hash] = []
    for east, north in DIRECTIONS:
        if step >= 2 and (
            (north < 0 and area.south < bounds.south)
            or (north > 0 and area.north > bounds.north)
            or (east < 0 and area.west < bounds.west)
            or (east > 0 and area.east > bounds.east)
        ):
            continue
        cell = neighbour(middle, east, north)
        if not cells or cell != cells[-1]:
            cells.append(cell)
    return cells


def neighbours_too_small(middle: Hash, bounds: Area) -> bool:
    """Whether the shape reaches beyond the cells around the middle one."""
    return (
        area_of(neighbour(middle, 0, 1)).north < bounds.north
        or area_of(neighbour(middle, 0, -1)).south > bounds.south
        or area_of(neighbour(middle, 1, 0)).east < bounds.east
        or area_of(neighbour(middle, -1, 0)).west > bounds.west
    )
