//! Tests of what goes to stdout.
