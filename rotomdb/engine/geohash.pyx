"""Positions as 52-bit geohashes, the areas that cover a search, and the search itself (Redis's geohash_helper, by its formulas).

A hash interleaves 26 bits of latitude (even) and 26 of longitude (odd); it is the score of a sorted set, so that an area
is a range of scores.
"""

from libc.math cimport M_PI, asin, cos, fabs, fmax, fmin, sin, sqrt
from libc.stdint cimport int64_t, uint64_t

from rotomdb.engine.keyspace cimport Keyspace

from rotomdb.engine.sorted_sets import range_by_score

cdef enum:
    STEP_MAX = 26

LIMITS = (180.0, 85.05112878)         # longitude and latitude, either side of 0
cdef double LONGITUDE_MAX = LIMITS[0]
cdef double LATITUDE_MAX = LIMITS[1]
cdef double EARTH_RADIUS_M = 6372797.560856
cdef double MERCATOR_MAX_M = 20037726.37
ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"

cdef struct Cell:                     # the first 2 * step bits of a hash
    uint64_t bits
    int step

cdef struct Area:
    double west, south, east, north


cdef inline double radians(double degrees) noexcept nogil:
    return degrees * (M_PI / 180.0)


cdef inline double degrees_of(double angle) noexcept nogil:
    return angle * (180.0 / M_PI)


cdef uint64_t spread(uint64_t value) noexcept nogil:
    """Put a zero bit before each of 32 bits."""
    value = (value | (value << 16)) & <uint64_t>0x0000FFFF0000FFFF
    value = (value | (value << 8)) & <uint64_t>0x00FF00FF00FF00FF
    value = (value | (value << 4)) & <uint64_t>0x0F0F0F0F0F0F0F0F
    value = (value | (value << 2)) & <uint64_t>0x3333333333333333
    return (value | (value << 1)) & <uint64_t>0x5555555555555555


cdef uint64_t squeeze(uint64_t value) noexcept nogil:
    """The even bits of a number."""
    value &= <uint64_t>0x5555555555555555
    value = (value | (value >> 1)) & <uint64_t>0x3333333333333333
    value = (value | (value >> 2)) & <uint64_t>0x0F0F0F0F0F0F0F0F
    value = (value | (value >> 4)) & <uint64_t>0x00FF00FF00FF00FF
    value = (value | (value >> 8)) & <uint64_t>0x0000FFFF0000FFFF
    return (value | (value >> 16)) & <uint64_t>0x00000000FFFFFFFF


cdef Cell cell_at(double longitude, double latitude, int step, double latitude_max) noexcept nogil:
    cdef double cells = <double>(<uint64_t>1 << step)
    cdef uint64_t x = <uint64_t>((longitude + LONGITUDE_MAX) / (2 * LONGITUDE_MAX) * cells)
    cdef uint64_t y = <uint64_t>((latitude + latitude_max) / (2 * latitude_max) * cells)
    cdef Cell cell
    cell.bits = spread(y) | (spread(x) << 1)
    cell.step = step
    return cell


cdef Area area_of(Cell cell) noexcept nogil:
    cdef double cells = <double>(<uint64_t>1 << cell.step)
    cdef double x = <double>squeeze(cell.bits >> 1), y = <double>squeeze(cell.bits)
    cdef double width = 2 * LONGITUDE_MAX, height = 2 * LATITUDE_MAX
    cdef Area area
    area.west = -LONGITUDE_MAX + (x / cells) * width
    area.south = -LATITUDE_MAX + (y / cells) * height
    area.east = -LONGITUDE_MAX + ((x + 1) / cells) * width
    area.north = -LATITUDE_MAX + ((y + 1) / cells) * height
    return area


cdef void position_of(double score, double* longitude, double* latitude) noexcept nogil:
    cdef Cell cell
    cdef Area area
    cell.bits = <uint64_t>score
    cell.step = STEP_MAX
    area = area_of(cell)
    longitude[0] = fmin(fmax((area.west + area.east) / 2, -LONGITUDE_MAX), LONGITUDE_MAX)
    latitude[0] = fmin(fmax((area.south + area.north) / 2, -LATITUDE_MAX), LATITUDE_MAX)


cdef double latitude_distance(double first, double second) noexcept nogil:
    return EARTH_RADIUS_M * fabs(radians(second) - radians(first))


cdef double metres_between(double lon1, double lat1, double lon2, double lat2) noexcept nogil:
    """Over the sphere (haversine)."""
    cdef double v = sin((radians(lon2) - radians(lon1)) / 2)
    cdef double a1, a2, u
    if v == 0:
        return latitude_distance(lat1, lat2)
    a1 = radians(lat1)
    a2 = radians(lat2)
    u = sin((a2 - a1) / 2)
    return 2.0 * EARTH_RADIUS_M * asin(sqrt(u * u + cos(a1) * cos(a2) * v * v))


def encode(double longitude, double latitude):
    """The full hash of a position."""
    return cell_at(longitude, latitude, STEP_MAX, LATITUDE_MAX).bits


def decode(double score):
    """Longitude and latitude of the middle of a full hash's cell."""
    cdef double longitude, latitude
    position_of(score, &longitude, &latitude)
    return longitude, latitude


def text_of(double longitude, double latitude):
    """The standard geohash string, eleven characters."""
    cdef uint64_t bits = cell_at(longitude, latitude, STEP_MAX, 90.0).bits
    letters = [ALPHABET[(bits >> (52 - (i + 1) * 5)) & 31] for i in range(10)]
    return "".join([*letters, "0"]).encode()


def distance(double lon1, double lat1, double lon2, double lat2):
    """Metres between two positions."""
    return metres_between(lon1, lat1, lon2, lat2)


cdef class Shape:
    """What is searched, in metres: a circle (`radius`), or a box of `width` by `height`."""

    cdef double longitude, latitude, radius, width, height
    cdef bint box

    def __init__(self, double longitude, double latitude, double radius=0.0, double width=0.0, double height=0.0,
                 bint box=False):
        self.longitude = longitude
        self.latitude = latitude
        self.radius = radius
        self.width = width
        self.height = height
        self.box = box

    cdef bint holds(self, double longitude, double latitude, double* metres) noexcept nogil:
        """Whether the point is inside, and its distance from the middle."""
        if self.box:
            if latitude_distance(latitude, self.latitude) > self.height / 2:
                return False
            if metres_between(longitude, latitude, self.longitude, latitude) > self.width / 2:
                return False
            metres[0] = metres_between(self.longitude, self.latitude, longitude, latitude)
            return True
        metres[0] = metres_between(self.longitude, self.latitude, longitude, latitude)
        return metres[0] <= self.radius

    cdef Area bounds(self) noexcept nogil:
        cdef double width = self.width if self.box else 2 * self.radius
        cdef double height = self.height if self.box else 2 * self.radius
        cdef double tall = degrees_of(height / 2 / EARTH_RADIUS_M)
        # The side nearer to a pole is the wider one in degrees.
        cdef double edge = self.latitude - tall if self.latitude < 0 else self.latitude + tall
        cdef double wide = degrees_of(width / 2 / EARTH_RADIUS_M / cos(radians(edge)))
        cdef Area area
        area.west = self.longitude - wide
        area.south = self.latitude - tall
        area.east = self.longitude + wide
        area.north = self.latitude + tall
        return area

    cdef int precision(self) noexcept nogil:
        """Steps at which nine cells cover the circle around the shape."""
        cdef double reach = sqrt((self.width / 2) * (self.width / 2) + (self.height / 2) * (self.height / 2))
        cdef int step = 1
        if not self.box:
            reach = self.radius
        if reach == 0:
            return STEP_MAX
        while reach < MERCATOR_MAX_M:
            reach *= 2
            step += 1
        step -= 2
        if fabs(self.latitude) > 66:
            step -= 1
            if fabs(self.latitude) > 80:
                step -= 1
        if step < 1:
            return 1
        return step if step < STEP_MAX else STEP_MAX


cdef Cell neighbour(Cell cell, int east, int north) noexcept nogil:
    """The cell so many cells away, wrapping around."""
    cdef uint64_t mask = (<uint64_t>1 << cell.step) - 1
    cdef uint64_t y = squeeze(cell.bits) + <uint64_t><int64_t>north
    cdef uint64_t x = squeeze(cell.bits >> 1) + <uint64_t><int64_t>east
    cdef Cell found
    found.bits = spread(y & mask) | (spread(x & mask) << 1)
    found.step = cell.step
    return found


cdef bint neighbours_too_small(Cell middle, Area bounds) noexcept nogil:
    """Whether the shape reaches beyond the cells around the middle one."""
    return (area_of(neighbour(middle, 0, 1)).north < bounds.north
            or area_of(neighbour(middle, 0, -1)).south > bounds.south
            or area_of(neighbour(middle, 1, 0)).east < bounds.east
            or area_of(neighbour(middle, -1, 0)).west > bounds.west)


# The middle one, then N S E W NE NW SE SW: the order in which results come without ASC or DESC.
cdef int[9] EAST = [0, 0, 0, 1, -1, 1, -1, 1, -1]
cdef int[9] NORTH = [0, 1, -1, 0, 0, 1, 1, -1, -1]


cdef int covering_cells(Shape shape, Cell* cells) noexcept nogil:
    """Cells that cover the shape, without those that cannot matter; returns how many."""
    cdef int step = shape.precision(), i, east, north, count = 0
    cdef Cell middle = cell_at(shape.longitude, shape.latitude, step, LATITUDE_MAX)
    cdef Cell cell
    cdef Area bounds = shape.bounds()
    cdef Area area
    if step > 1 and neighbours_too_small(middle, bounds):
        step -= 1
        middle = cell_at(shape.longitude, shape.latitude, step, LATITUDE_MAX)
    area = area_of(middle)
    for i in range(9):
        east = EAST[i]
        north = NORTH[i]
        if step >= 2 and ((north < 0 and area.south < bounds.south) or (north > 0 and area.north > bounds.north)
                          or (east < 0 and area.west < bounds.west) or (east > 0 and area.east > bounds.east)):
            continue
        cell = neighbour(middle, east, north)
        if count == 0 or cell.bits != cells[count - 1].bits:
            cells[count] = cell
            count += 1
    return count


def search(Keyspace db not None, bytes key not None, Shape shape not None, int64_t limit=0):
    """Members inside the shape as (member, score, metres from the middle, (longitude, latitude)).

    Args:
        limit: Stop after so many; 0: all of them.
    """
    cdef Cell[9] cells
    cdef int count = covering_cells(shape, cells), i
    cdef Py_ssize_t j
    cdef int shift
    cdef double score, longitude, latitude, metres = 0
    cdef list flat, found = []
    for i in range(count):
        shift = 2 * (STEP_MAX - cells[i].step)
        flat = range_by_score(db, key, <double>(cells[i].bits << shift), False, <double>((cells[i].bits + 1) << shift), True)
        for j in range(0, len(flat), 2):
            score = flat[j + 1]
            position_of(score, &longitude, &latitude)
            if shape.holds(longitude, latitude, &metres):
                found.append((flat[j], score, metres, (longitude, latitude)))
                if len(found) == limit:
                    return found
    return found
