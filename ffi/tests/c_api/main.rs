//! The C API from outside: what its functions promise, whether header, library and documents agree, and the examples.

mod artefact;
mod boundary;
mod examples;
mod header;
