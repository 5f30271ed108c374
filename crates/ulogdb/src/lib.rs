//! Databases in the schemas of ulogd 1 and 2.
