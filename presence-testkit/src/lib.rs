//! Simulated clients, contract suites and the end-to-end tests.
