//! Names of interfaces. A packet carries the number of its interface; people want the name.

use crate::{NetfilterError, sys};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
};

/// Asked names, kept until [`Interfaces::refresh`].
///
/// Numbers are not used again while a namespace lives, but an interface can be renamed, and one that is not
/// there yet can appear: refresh every few seconds. Bound to the network namespace of the thread that made it.
/// Asking needs no privilege.
#[derive(Debug)]
pub struct Interfaces {
    socket: OwnedFd,
    names: BTreeMap<u32, Option<String>>,
}

/// More than that are not kept; a machine with more interfaces asks again now and then.
const MAX_NAMES: usize = 8192;

impl Interfaces {
    /// For the network namespace of this thread.
    ///
    /// # Errors
    /// When the process can open no more files.
    pub fn open() -> Result<Self, NetfilterError> {
        Ok(Self::from_fd(Self::socket()?))
    }

    /// A socket of the network namespace of this thread, for [`Interfaces::from_fd`] in whatever process.
    ///
    /// # Errors
    /// As [`Interfaces::open`].
    pub fn socket() -> Result<OwnedFd, NetfilterError> {
        sys::any_socket().map_err(|e| NetfilterError::from_io("open a socket", e))
    }

    /// Asks through a socket that [`Interfaces::socket`] gave.
    #[must_use]
    pub const fn from_fd(socket: OwnedFd) -> Self {
        Self { socket, names: BTreeMap::new() }
    }

    /// The name of an interface by its number; `None` when there is no such interface.
    pub fn name(&mut self, index: u32) -> Option<&str> {
        if self.names.len() >= MAX_NAMES && !self.names.contains_key(&index) {
            self.names.clear();
        }
        let socket = self.socket.as_fd();
        self.names.entry(index).or_insert_with(|| sys::interface_name(socket, index)).as_deref()
    }

    /// Forgets all names, so that each is asked anew.
    pub fn refresh(&mut self) {
        self.names.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_a_name_and_nonsense_has_none() {
        let mut interfaces = Interfaces::open().unwrap();
        assert_eq!(interfaces.name(1), Some("lo"));
        interfaces.refresh();
        assert_eq!(interfaces.name(1), Some("lo"));
        assert_eq!(interfaces.name(0), None);
        assert_eq!(interfaces.name(u32::MAX), None);
    }
}
