//! Brings up the loopback interface: programs expect 127.0.0.1 everywhere. No
//! other interface is the init's business.

use super::error::InitError;
use super::sys;

pub(crate) fn raise_loopback() -> Result<(), InitError> {
    sys::raise_interface(*b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0")
        .map_err(InitError::io("bring up the interface", "lo"))
}
