//! The only door to the generated codec.
