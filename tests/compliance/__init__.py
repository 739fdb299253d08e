"""What ci/compliance is made of: statements of the RFCs, marks in code and tests,
and the report that joins them (docs/conformance.md)."""
