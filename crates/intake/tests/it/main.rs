//! Records of other programs, read where they lie: the corpus beside the project.

mod row;
mod ulogd;
