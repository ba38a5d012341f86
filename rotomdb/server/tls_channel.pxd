cdef enum:
    UNSEEN = -1000000                     # no errno: an exception was raised
    PLAIN_BYTES = 64 * 1024               # `receive` needs at least so much room
    RECORD_BYTES = 16 * 1024 + 512        # the largest record, and what goes around it
    CIPHER_BYTES = PLAIN_BYTES - RECORD_BYTES   # taken from the socket at a time

cdef class Channel:
    cdef readonly int fd
    cdef object ssl, incoming, outgoing   # ssl.SSLObject between two ssl.MemoryBIO
    cdef bytes ciphertext                 # that the socket has not taken yet, from `taken` on
    cdef Py_ssize_t taken
    cdef readonly bint established        # the handshake is done
    cdef readonly bint ended              # the peer said that nothing follows
    cdef readonly bint failed
    cdef Py_ssize_t largest_in, largest_out   # bytes that OpenSSL was ever given at once
    cdef Py_ssize_t owed                  # bytes of `write` that are encrypted and not sent
    cdef readonly bint left_to_child      # a forked process encrypts from now on: nothing may be encrypted here
    cdef readonly str failure             # what was wrong with the TLS of the connection, in OpenSSL's words
    cdef ssize_t receive(self, char* scratch, char* room, size_t wanted) except? UNSEEN
    cdef ssize_t transmit(self, const char* data, size_t length) except? UNSEEN
    cdef ssize_t push(self) except? UNSEEN
    cdef int shake(self) except -1
    cdef ssize_t decrypt(self, char* room, size_t wanted) except? UNSEEN
    cdef Py_ssize_t waiting(self) noexcept
    cdef Py_ssize_t memory(self) noexcept
    cdef bint encrypt(self, const char* data, size_t length) except -1
    cdef object fail(self, error)
    cdef bint over(self) noexcept
