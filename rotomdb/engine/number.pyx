"""Numbers and their text, in Redis's exact grammar and layout."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free
from libc cimport errno
from libc.math cimport HUGE_VAL, isinf, isnan
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport strtod
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    char* PyOS_double_to_string(double value, char format_code, int precision, int flags, int* type) except NULL

cdef extern from "stdlib.h" nogil:
    long double strtold(const char* text, char** end)

cdef enum:
    NUMBER_TEXT_MAX = 400     # longer text is no number; "%.17Lf" of the largest double has 309 digits before the point
    LONG_DOUBLE_TEXT_MAX = 5119       # of the largest long double it has 4933


cdef bint parse_int64(const char* text, Py_ssize_t length, int64_t* out) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef bint negative = False
    cdef uint64_t value
    cdef unsigned int digit
    if length == 0 or length > 20:
        return False
    if text[0] == c'-':
        negative = True
        i = 1
        if length == 1:
            return False
    if text[i] == c'0':
        if length == 1:
            out[0] = 0
            return True
        return False
    digit = <unsigned char>text[i] - <unsigned char>c'0'
    if digit > 9:
        return False
    value = digit
    i += 1
    while i < length:
        digit = <unsigned char>text[i] - <unsigned char>c'0'
        if digit > 9:
            return False
        if value > <uint64_t>1844674407370955161ULL:
            return False
        value *= 10
        if value > <uint64_t>0xffffffffffffffffULL - digit:
            return False
        value += digit
        i += 1
    if negative:
        if value > <uint64_t>9223372036854775808ULL:
            return False
        out[0] = <int64_t>(0 - value)
    else:
        if value > <uint64_t>9223372036854775807ULL:
            return False
        out[0] = <int64_t>value
    return True


cdef int format_uint64(char* out, uint64_t value) noexcept nogil:
    cdef char reversed[20]
    cdef int n = 0, i
    while True:
        reversed[n] = <char>(c'0' + value % 10)
        value //= 10
        n += 1
        if value == 0:
            break
    for i in range(n):
        out[i] = reversed[n - 1 - i]
    return n


cdef int format_int64(char* out, int64_t value) noexcept nogil:
    if value < 0:
        out[0] = c'-'
        return 1 + format_uint64(out + 1, 0 - <uint64_t>value)
    return format_uint64(out, <uint64_t>value)


cdef inline bint is_space(char c) noexcept nogil:
    return c == c' ' or (c >= 9 and c <= 13)


cdef bint parse_double(const char* text, Py_ssize_t length, double* out) noexcept:
    cdef char copy[NUMBER_TEXT_MAX + 1]
    cdef char* end
    cdef double value
    if length == 0 or length > NUMBER_TEXT_MAX or is_space(text[0]):
        return False
    memcpy(copy, text, length)
    copy[length] = 0
    errno.errno = 0
    value = strtod(copy, &end)
    if end != copy + length or isnan(value):
        return False
    if errno.errno == errno.ERANGE and (value == HUGE_VAL or value == -HUGE_VAL or value == 0):
        return False
    out[0] = value
    return True


cdef int format_double(char* out, double value) except -1:
    """Layout: integers plainly; else the shortest digits, plain while the exponent is small, `d.ddde+N` beyond.

    The digits are CPython's shortest repr (David Gay's algorithm), the layout is that of the fpconv library that
    Redis 7.2 prints doubles with.
    """
    cdef char digits[32]
    cdef char* text
    cdef char* p
    cdef int count = 0, point_exponent = 0, length = 0, k, exponent, i
    cdef bint after_point = False
    if isnan(value):
        memcpy(out, b"nan", 3)
        return 3
    if isinf(value):
        memcpy(out, b"-inf" if value < 0 else b"inf", 4 if value < 0 else 3)
        return 4 if value < 0 else 3
    if value == 0:
        if 1 / value < 0:
            memcpy(out, b"-0", 2)
            return 2
        out[0] = c'0'
        return 1
    if -4503599627370496.0 < value < 4503599627370496.0 and value == <double><int64_t>value:
        return format_int64(out, <int64_t>value)

    text = PyOS_double_to_string(value, c'r', 0, 0, NULL)
    p = text
    if p[0] == c'-':
        out[0] = c'-'
        length = 1
        p += 1
    while p[0] and p[0] != c'e':
        if p[0] == c'.':
            after_point = True
        else:
            if after_point:
                point_exponent -= 1
            if count or p[0] != c'0':
                digits[count] = p[0]
                count += 1
        p += 1
    if p[0] == c'e':
        p += 1
        exponent = 0
        k = -1 if p[0] == c'-' else 1
        if p[0] == c'-' or p[0] == c'+':
            p += 1
        while p[0]:
            exponent = exponent * 10 + (p[0] - c'0')
            p += 1
        point_exponent += k * exponent
    PyMem_Free(text)
    while count > 1 and digits[count - 1] == c'0':
        count -= 1
        point_exponent += 1

    k = point_exponent                      # value = digits * 10**k
    exponent = k + count - 1
    if exponent < 0:
        exponent = -exponent
    if k >= 0 and exponent < count + 7:
        memcpy(out + length, digits, count)
        memset(out + length + count, c'0', k)
        return length + count + k
    if k < 0 and (k > -7 or exponent < 4):
        i = count + k                       # digits before the point
        if i <= 0:
            out[length] = c'0'
            out[length + 1] = c'.'
            memset(out + length + 2, c'0', -i)
            memcpy(out + length + 2 - i, digits, count)
            return length + count + 2 - i
        memcpy(out + length, digits, i)
        out[length + i] = c'.'
        memcpy(out + length + i + 1, digits + i, count - i)
        return length + count + 1
    out[length] = digits[0]
    length += 1
    if count > 1:
        out[length] = c'.'
        memcpy(out + length + 1, digits + 1, count - 1)
        length += count
    out[length] = c'e'
    out[length + 1] = c'-' if k + count - 1 < 0 else c'+'
    return length + 2 + format_int64(out + length + 2, exponent)


cdef bint parse_long_double(bytes text, long double* out):
    cdef char* end
    cdef Py_ssize_t length = PyBytes_GET_SIZE(text)
    if length == 0 or length > LONG_DOUBLE_TEXT_MAX or is_space(PyBytes_AS_STRING(text)[0]):
        return False
    errno.errno = 0
    out[0] = strtold(PyBytes_AS_STRING(text), &end)          # bytes end with a zero
    if end != PyBytes_AS_STRING(text) + length or out[0] != out[0]:
        return False
    return not (errno.errno == errno.ERANGE and (out[0] - out[0] != 0 or out[0] == 0))


def parse_int(bytes text):
    """The int64 that `text` spells canonically, or None."""
    cdef int64_t value
    if parse_int64(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &value):
        return value
    return None


def parse_float(bytes text):
    """The double that `text` spells (strtod grammar, infinities allowed, NaN not), or None."""
    cdef double value
    if parse_double(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &value):
        return value
    return None


def parse_bound(bytes text not None):
    """The end of a score range, which C's strtod alone decides: blanks, nothing at all and overflow pass. None for no number."""
    cdef char* end
    cdef double value = strtod(PyBytes_AS_STRING(text), &end)       # bytes end with a zero
    return None if end[0] or isnan(value) else value


def format_float(double value):
    """Redis 7.2's text of a double."""
    cdef char out[48]
    cdef int length = format_double(out, value)
    return PyBytes_FromStringAndSize(out, length)


def format_float_17(double value):
    """`%.17g`, the form that DEBUG DIGEST hashes."""
    cdef char out[64]
    cdef int length = snprintf(out, sizeof(out), "%.17g", value)
    return PyBytes_FromStringAndSize(out, length)


def is_long_double(bytes text):
    cdef long double value
    return parse_long_double(text, &value)


def add_long_doubles(bytes left, bytes right):
    """Text of left + right in C long double arithmetic, `%.17Lf` without trailing zeros; None when not finite.

    Both must satisfy `is_long_double`. This is what INCRBYFLOAT and HINCRBYFLOAT compute.
    """
    cdef long double a, b, total
    cdef char out[5200]
    cdef int length
    if not parse_long_double(left, &a) or not parse_long_double(right, &b):
        raise ValueError("not a long double")
    total = a + b
    if total != total or total - total != 0:
        return None
    length = snprintf(out, sizeof(out), "%.17Lf", total)
    if b"." in out[:length]:
        while out[length - 1] == c'0':
            length -= 1
        if out[length - 1] == c'.':
            length -= 1
    if length == 2 and out[0] == c'-' and out[1] == c'0':
        return b"0"
    return PyBytes_FromStringAndSize(out, length)


cdef bint parse_uint64(const char* text, Py_ssize_t length, uint64_t* out) noexcept nogil:
    """As C's strtoull, which takes blanks and a plus in front and zeros; but a minus is no sign here."""
    cdef uint64_t value = 0, digit
    cdef Py_ssize_t i = 0, first
    while i < length and is_space(text[i]):
        i += 1
    if i < length and text[i] == c'+':
        i += 1
    first = i
    if first >= length:
        return False
    for i in range(first, length):
        if not c'0' <= text[i] <= c'9':
            return False
        digit = <uint64_t>(text[i] - c'0')
        if value > (<uint64_t>-1 - digit) // 10:
            return False
        value = value * 10 + digit
    out[0] = value
    return True


def parse_unsigned(bytes text):
    """The unsigned 64-bit integer that `text` spells in decimal, or None."""
    cdef uint64_t value
    return value if parse_uint64(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &value) else None
