//! The lake from outside: exactly once through crashes, full disks, second writers and strange times.

mod clocks;
mod crash;
mod files;
mod full_disk;
mod model;
mod readers;
mod support;
mod writers;
