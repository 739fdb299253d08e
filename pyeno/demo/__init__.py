"""``pyeno demo``: TCP-ENO and tcpcrypt between two hosts, shown and proven.

    needs → hosts (namespaces, cgroup) → story (transfers under capture)
                                            │
                          ladder ← pcap ────┴──▶ proofs → report

The two ends are the ordinary ``pyeno listen`` and ``pyeno connect``; nothing
in here takes part in the protocol.
"""
