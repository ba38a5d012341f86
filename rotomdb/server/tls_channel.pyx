"""TLS on a connection: ciphertext on the socket's side, what the client says and reads on the other.

OpenSSL never touches the socket. `receive` takes what the socket has and decrypts all of it; `transmit` encrypts and sends. So
the reactor needs to know nothing of TLS:

    C1  After `receive` no whole record is left inside: what has arrived and can be read has been read, and an event of the
        socket stands for everything that is to come. That is why ciphertext is taken in smaller portions than there is room
        for: what was left of a record before fits beside it.
    C2  What was encrypted leaves in that order. While the socket does not take all of it, `waiting` is not 0, nothing more is
        encrypted, and the reactor has to tell when the socket is writable.
    C3  A record's number is part of its encryption, so one process writes: a child that was handed the connection
        (`leave_to_child`), and nobody else from then on.

Both memories of OpenSSL's keep the size that they once had, for each connection: they are filled a piece at a time.
"""

from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.errno cimport EAGAIN, EINTR, EPROTO, errno
from libc.string cimport strerror

import ssl

cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int fd, void* buffer, size_t length, int flags)
    ssize_t send(int fd, const void* buffer, size_t length, int flags)
    int MSG_NOSIGNAL

cdef enum:
    IN_BYTES = 8 * 1024                   # of ciphertext given to OpenSSL at a time
    OUT_BYTES = 16 * 1024                 # of what is to be encrypted: a full record
    STATE_BYTES = 16 * 1024               # of OpenSSL's for a connection, as measured
    UNREAD_BYTES = 64 * 1024              # what answers of the protocol itself may wait for a peer that does not read


cdef class Channel:
    def __init__(self, context, int fd):
        """The server's side of a connection whose handshake is yet to come.

        Args:
            context: An ssl.SSLContext.
            fd: A socket that does not block.
        """
        self.fd = fd
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.failure = ""

    cdef object fail(self, error):
        self.failed = True
        reason = getattr(error, "reason", None)
        library = getattr(error, "library", None) or "SSL"
        message = getattr(error, "verify_message", None)
        self.failure = f"{library} routines::{reason.lower().replace('_', ' ')}" if reason else str(error)
        if message:
            self.failure += f": {message}"

    cdef Py_ssize_t waiting(self) noexcept:
        """Bytes of ciphertext that the socket has not taken yet."""
        return 0 if self.ciphertext is None else PyBytes_GET_SIZE(self.ciphertext) - self.taken

    cdef Py_ssize_t memory(self) noexcept:
        """Bytes that it takes; OpenSSL's memories grow by a third more than they need."""
        return STATE_BYTES + (self.largest_in + self.largest_out) * 4 // 3 + self.waiting()

    cdef bint over(self) noexcept:
        """Nothing follows what was read: the peer said so, or the encryption broke."""
        return self.ended or self.failed

    # Input

    cdef ssize_t receive(self, char* scratch, char* room, size_t wanted) except? UNSEEN:
        """Decrypt what has arrived: the number of bytes, 0 at the end, or minus an errno: EAGAIN when there is nothing to read.

        `scratch` has room for CIPHER_BYTES; OpenSSL works without the GIL, so no other thread may use it meanwhile.

        EPROTO stands for what is wrong with the TLS itself; `failure` says what it is.
        """
        cdef ssize_t received, used = 0, piece
        cdef ssize_t count = 0
        if self.ended:
            return 0
        if self.failed:
            return -EPROTO
        received = recv(self.fd, scratch, CIPHER_BYTES, 0)
        if received <= 0:
            return -errno if received < 0 else 0
        while used < received and not self.failed and not self.ended:
            piece = min(received - used, <ssize_t>IN_BYTES)
            self.incoming.write(PyMemoryView_FromMemory(scratch + used, piece, PyBUF_READ))
            used += piece
            self.largest_in = max(self.largest_in, piece)
            if not self.established and not self.shake():
                continue
            count += self.decrypt(room + count, wanted - <size_t>count)
        # Parts of the handshake, alerts, and answers to a change of keys.
        if self.outgoing.pending:
            piece = self.push()
            if piece < 0 and piece != -EAGAIN and not self.failed:
                return piece
            if self.waiting() + <Py_ssize_t>self.outgoing.pending > UNREAD_BYTES and not self.failed:
                self.failed = True
                self.failure = "the peer asks for answers of the protocol and reads none"
        if count:
            return count                        # a failure is found by the next call
        if self.ended:
            return 0
        return -EPROTO if self.failed else -EAGAIN

    cdef int shake(self) except -1:
        """Go on with the handshake; whether it is done."""
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except OSError as error:                # SSLError is one
            self.fail(error)
            return False
        self.established = True
        return True

    cdef ssize_t decrypt(self, char* room, size_t wanted) except? UNSEEN:
        """Take out all whole records."""
        cdef ssize_t total = 0, count
        cdef bint more = True
        while more and <size_t>total < wanted:
            try:
                count = self.ssl.read(wanted - <size_t>total, PyMemoryView_FromMemory(
                    room + total, <Py_ssize_t>(wanted - <size_t>total), PyBUF_WRITE))
            except ssl.SSLWantReadError:
                return total
            except ssl.SSLZeroReturnError:
                count = 0
            except OSError as error:
                self.fail(error)
                return total
            if count == 0:
                self.ended = True
                return total
            total += count
            more = self.incoming.pending > 0
        return total

    # Output

    cdef ssize_t transmit(self, const char* data, size_t length) except? UNSEEN:
        """Encrypt and send; how many bytes are taken care of, which may still be `waiting`, or minus an errno."""
        cdef ssize_t result
        if not self.established or self.left_to_child:
            return -EAGAIN
        if self.waiting():
            result = self.push()
            if result < 0:
                return result
        length = min(length, <size_t>OUT_BYTES)
        if not self.encrypt(data, length):
            return -EPROTO
        result = self.push()
        return result if result < 0 and result != -EAGAIN else <ssize_t>length

    cdef bint encrypt(self, const char* data, size_t length) except -1:
        self.largest_out = max(self.largest_out, <Py_ssize_t>length)
        try:
            self.ssl.write(PyMemoryView_FromMemory(<char*>data, <Py_ssize_t>length, PyBUF_READ))
        except OSError as error:
            self.fail(error)
            return False
        return True

    cdef ssize_t push(self) except? UNSEEN:
        """Send what is encrypted already: 0, or minus an errno: EAGAIN where the socket does not take all of it."""
        cdef ssize_t count
        cdef Py_ssize_t size
        if self.left_to_child:
            self.outgoing.read()
            return 0
        while True:
            if self.ciphertext is None:
                if not self.outgoing.pending:
                    return 0
                self.ciphertext = self.outgoing.read()
                self.taken = 0
            size = PyBytes_GET_SIZE(self.ciphertext)
            while self.taken < size:
                count = send(self.fd, PyBytes_AS_STRING(self.ciphertext) + self.taken, <size_t>(size - self.taken), MSG_NOSIGNAL)
                if count < 0:
                    if errno == EINTR:
                        continue
                    return -errno
                self.taken += count
            self.ciphertext = None

    # For Python

    def peer_certificate(self):
        """What the client has shown and was found good, as ssl.SSLSocket.getpeercert tells it; nothing: None or {}."""
        return self.ssl.getpeercert()

    def write(self, const unsigned char[:] data not None):
        """As os.write, for who waits for the socket himself: after BlockingIOError the same bytes have to come again.

        Raises OSError.
        """
        cdef ssize_t result
        cdef Py_ssize_t count = min(data.shape[0], <Py_ssize_t>OUT_BYTES)
        if count == 0:
            return 0
        if self.owed == 0:
            if not self.encrypt(<const char*>&data[0], <size_t>count):
                raise OSError(EPROTO, self.failure)
            self.owed = count
        result = self.push()
        if result < 0:
            raise OSError(-result, strerror(<int>-result).decode("utf-8", "replace"))
        count, self.owed = self.owed, 0
        return count

    def leave_to_child(self):
        """A forked process goes on with what is to be said here: invariant C3."""
        self.left_to_child = True

    def end(self):
        """Tell the peer that nothing follows, where that can be said at once."""
        if not self.established or self.failed or self.left_to_child or self.waiting():
            return
        try:
            self.ssl.unwrap()
        except OSError:
            pass                                # the peer has not said it, and is not waited for
        self.push()
