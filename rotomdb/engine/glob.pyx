"""Glob-style patterns as Redis matches them: `*` `?` `[abc]` `[^a-z]` and `\\x`.

Runs of `*` cost one pass each: on a mismatch only the last star is retried, so no pattern takes exponential time.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


cdef inline unsigned char fold(char c, bint ignore_case) noexcept nogil:
    if ignore_case and c'A' <= c <= c'Z':
        return <unsigned char>(c + 32)
    return <unsigned char>c


cdef bint glob_match(const char* pattern, Py_ssize_t pattern_length, const char* text, Py_ssize_t text_length,
                     bint ignore_case) noexcept:
    cdef Py_ssize_t p = 0, t = 0, star = -1, star_text = 0, q
    cdef bint matched, negated
    cdef unsigned char low, high, swap, c
    while t < text_length:
        matched = False
        if p < pattern_length:
            if pattern[p] == c'*':
                star = p
                star_text = t
                p += 1
                continue
            q = p
            c = fold(text[t], ignore_case)
            if pattern[p] == c'?':
                matched = True
                q = p + 1
            elif pattern[p] == c'[':
                q = p + 1
                negated = q < pattern_length and pattern[q] == c'^'
                if negated:
                    q += 1
                while True:
                    if q < pattern_length and pattern[q] == c'\\' and q + 1 < pattern_length:
                        q += 1
                        if fold(pattern[q], ignore_case) == c:
                            matched = True
                    elif q >= pattern_length:
                        q -= 1
                        break
                    elif pattern[q] == c']':
                        break
                    elif q + 2 < pattern_length and pattern[q + 1] == c'-':
                        low = fold(pattern[q], ignore_case)
                        high = fold(pattern[q + 2], ignore_case)
                        if low > high:
                            swap = low
                            low = high
                            high = swap
                        q += 2
                        if low <= c <= high:
                            matched = True
                    elif fold(pattern[q], ignore_case) == c:
                        matched = True
                    q += 1
                if negated:
                    matched = not matched
                q += 1
            else:
                if pattern[q] == c'\\' and q + 1 < pattern_length:
                    q += 1
                matched = fold(pattern[q], ignore_case) == c
                q += 1
            if matched:
                p = q
                t += 1
                continue
        if star < 0:
            return False
        star_text += 1
        t = star_text
        p = star + 1
    while p < pattern_length and pattern[p] == c'*':
        p += 1
    return p >= pattern_length


def match(bytes pattern, bytes text, bint ignore_case=False):
    """Whether `text` matches the glob-style `pattern`."""
    return glob_match(PyBytes_AS_STRING(pattern), PyBytes_GET_SIZE(pattern), PyBytes_AS_STRING(text),
                      PyBytes_GET_SIZE(text), ignore_case)
