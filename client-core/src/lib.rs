//! osbackend-client-core
