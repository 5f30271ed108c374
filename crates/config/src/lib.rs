//! Configuration files with drop-ins and clear errors.
