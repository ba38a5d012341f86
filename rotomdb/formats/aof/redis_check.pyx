"""Strict walk over the commands of an append-only file, without executing anything: what `rotomdb-aof-check` reports.

The rules and the wording of errors are those of redis-check-aof (docs/formats.md, section 7.1). Nothing is copied out
of the file, so the walk runs at memory speed.
"""

from libc.stdint cimport int64_t
from libc.string cimport memchr

cdef enum:
    LINE_MAX = 127                    # bytes of a header line that the checker looks at
    ANNOTATION_MAX = 1023

SCAN_END, SCAN_STOPPED, SCAN_FORMAT_ERROR, SCAN_TIMESTAMP, SCAN_BAD_TIMESTAMP, SCAN_PAUSED = range(6)


cdef class AofScanner:
    """Walks a buffer that the caller keeps.

    `good` is the offset behind the last sound top-level item (inside a transaction: of its MULTI); `line` counts
    verified line ends from 1 and goes on over several files when handed on.
    """

    cdef object owner
    cdef const unsigned char* data
    cdef int64_t size
    cdef readonly int64_t position, good, line, error_offset
    cdef readonly str error
    cdef readonly int transaction
    cdef readonly bint at_end             # the walk met the end of the data
    cdef str path

    def __cinit__(self, const unsigned char[::1] data, str path, int64_t position=0, int64_t line=1):
        self.owner = data
        self.size = data.shape[0]
        self.data = &data[0] if self.size else NULL
        self.path = path
        self.position = position
        self.good = position
        self.line = line
        self.error = ""

    def close(self):
        """Let go of the buffer, so that a mapping can be closed."""
        self.owner = None
        self.size = 0

    cdef bint fail(self, str message):
        self.error = message
        return False

    cdef bint newline(self, unsigned char first, unsigned char second):
        """Verify a CRLF."""
        if first == 13 and second == 10:
            self.line += 1
            return True
        return self.fail("Expected \\r\\n, got: %s%s" % (hexadecimal(first), hexadecimal(second)))

    cdef bint number(self, unsigned char prefix, int64_t* value):
        """A header line: prefix, decimal number, CRLF."""
        cdef int64_t at = self.position, end, total = 0
        cdef const unsigned char* found
        cdef bint negative = False
        self.error_offset = at
        if at >= self.size:
            self.at_end = True
            return False
        found = <const unsigned char*>memchr(self.data + at, 10, <size_t>min(self.size - at, LINE_MAX))
        end = found - self.data + 1 if found != NULL else min(at + LINE_MAX, self.size)
        if self.data[at] != prefix:
            return self.fail("Expected prefix '%s', got: '%s'" % (chr(prefix), chr(self.data[at])))
        self.position = end
        at += 1
        while at < end and (self.data[at] == 32 or 9 <= self.data[at] <= 13) and self.data[at] != 13:
            at += 1
        if at < end and (self.data[at] == c'-' or self.data[at] == c'+'):
            negative = self.data[at] == c'-'
            at += 1
        while at < end and c'0' <= self.data[at] <= c'9':
            if total > 922337203685477579:
                total = 9223372036854775807    # as strtol: clamps
            elif total != 9223372036854775807:
                total = total * 10 + self.data[at] - c'0'
            at += 1
        value[0] = -total if negative else total
        return self.newline(self.data[at] if at < end else 0, self.data[at + 1] if at + 1 < end else 0)

    cdef bint command(self):
        """One command; False when it is not sound."""
        cdef int64_t count, length, i, start
        if not self.number(c'*', &count):
            return False
        for i in range(count):
            if not self.number(c'$', &length):
                return False
            if length < 0 or length > 9223372036854775805:
                return self.fail(
                    "Expected to read string of %d bytes, which is not in the suitable range" % length)
            self.error_offset = start = self.position
            if length + 2 > self.size - start:
                self.at_end = True
                self.position = self.size
                return self.fail("Expected to read %d bytes, got %d bytes" % (length + 2, self.size - start))
            self.position = start + length + 2
            if not self.newline(self.data[start + length], self.data[start + length + 1]):
                return False
            if i == 0 and (length == 5 or length == 4) and not self.transaction_word(start, length):
                return False
        return True

    cdef bint transaction_word(self, int64_t start, int64_t length):
        word = self.data[start:start + length].lower()
        if word == b"multi":
            self.transaction += 1
            if self.transaction > 1:
                return self.fail("Unexpected MULTI in AOF " + self.path)
        elif word == b"exec":
            self.transaction -= 1
            if self.transaction:
                return self.fail("Unexpected EXEC in AOF " + self.path)
        return True

    def run(self, int64_t to_timestamp=0, int64_t pause_after=0):
        """Walk to the end or to what stops it.

        Args:
            to_timestamp: Stop before the first `#TS:` annotation later than this; 0: never.
            pause_after: Return SCAN_PAUSED after about so many bytes, to let the caller show progress; 0: never.

        Returns:
            SCAN_END at a clean end; SCAN_STOPPED at an unsound command (`error` may be empty when the file just
            ends); SCAN_FORMAT_ERROR where neither a command nor an annotation begins; SCAN_TIMESTAMP before a later
            annotation (at `error_offset`); SCAN_BAD_TIMESTAMP at a malformed one.
        """
        cdef int64_t begin = self.position, end
        cdef unsigned char lead
        cdef const unsigned char* found
        while True:
            if self.transaction == 0:
                self.good = self.position
            if self.position >= self.size:
                self.at_end = True
                return SCAN_END
            if pause_after and self.position - begin >= pause_after:
                return SCAN_PAUSED
            lead = self.data[self.position]
            if lead == c'#':
                self.error_offset = self.position
                found = <const unsigned char*>memchr(
                    self.data + self.position, 10, <size_t>min(self.size - self.position, ANNOTATION_MAX))
                end = found - self.data + 1 if found != NULL else min(self.position + ANNOTATION_MAX, self.size)
                text = self.data[self.position:end]
                if to_timestamp and text.startswith(b"#TS:"):
                    digits, _, _ = text[4:].partition(b"\r")
                    if not digits[digits[:1] in (b"+", b"-"):].isdigit() or len(digits) + 4 == len(text):
                        return SCAN_BAD_TIMESTAMP
                    if int(digits) > to_timestamp:
                        return SCAN_TIMESTAMP
                self.position = end
            elif lead == c'*':
                if not self.command():
                    return SCAN_STOPPED
            else:
                return SCAN_FORMAT_ERROR


cdef str hexadecimal(int byte):
    """`%02x` of a signed char."""
    return "%02x" % byte if byte < 128 else "ffffff%02x" % byte
