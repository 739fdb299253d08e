"""tcpcrypt (RFC 8548) without I/O: Init messages, key schedule, frames.

The data's path: :mod:`handshake` → :mod:`keyschedule` → :mod:`framer`, joined
by :mod:`connection`; no stage imports another.
"""
