//! osbackend-server
