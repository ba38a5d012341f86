cdef enum:
    COMMAND_BITS = 1024
    FUTURE = COMMAND_BITS - 1             # stands for commands that do not exist yet
    ROW_BYTES = COMMAND_BITS // 8

cdef class Subject:
    cdef readonly int number
    cdef readonly bint always             # anybody may: AUTH and the like
    cdef readonly object spec
    cdef tuple fixed                      # (first, last, step, need) where keys stand at fixed places; None: they have to be looked for
    cpdef list keys(self, list request)
    cpdef list channels(self, list request)

cdef class Selector:
    cdef unsigned char[ROW_BYTES] commands   # a bit for each that is allowed
    cdef readonly bint all_commands       # every bit is set
    cdef public bint all_keys, all_channels
    cdef public dict keys                 # pattern -> READ | WRITE
    cdef public dict channels             # pattern -> None, in order
    cdef public dict first_words          # number of a command -> words of which one lets it through
    cdef public list rules                # those about commands behind the `+@all` or `-@all`, as they were given
    cdef bint allows(self, int number) noexcept
    cdef bint key_fits(self, bytes key, int need)
    cdef bint channel_fits(self, bytes channel, bint literal)
    cdef tuple denial(self, Subject subject, list request)

cdef class User:
    cdef readonly bytes name
    cdef public bint enabled, nopass
    cdef public bint sanitize             # payloads of RESTORE are checked in depth
    cdef public list passwords            # SHA-256, in hexadecimal
    cdef public list selectors            # the first is the user's own
    cdef readonly bint unrestricted       # one selector allows everything
    cpdef tuple denial(self, Subject subject, list request)
