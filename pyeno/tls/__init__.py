"""TLS 1.3 as a TEP, identifier 0x30, after draft-ietf-tcpinc-use-tls.

``connection`` joins OpenSSL's contexts (``context``), keys (``keys``) and what binds
the handshake to the ENO options (``binding``).  Importing this package costs nothing:
OpenSSL comes with the first connection.
"""
