"""Problems for one purpose: drawn families, hypothesis strategies, the problems of conformance."""
