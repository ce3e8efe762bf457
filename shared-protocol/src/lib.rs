//! osbackend-protocol
