//! `struct xencons_interface` of Xen's `io/console.h`: two rings of bytes in one
//! page, one for each direction, with free-running indices.
//!
//! The guest can write the whole page. Our own indices are kept here and only
//! shown to it; its indices are believed only as far as the ring is long.

#[cfg(test)]
mod tests;

use crate::seam::Pages;

/// What we type: `in[1024]`, consumed by the guest.
const IN: usize = 0;
const IN_BYTES: u32 = 1024;
/// What the guest prints: `out[2048]`, produced by the guest.
const OUT: usize = 1024;
const OUT_BYTES: u32 = 2048;
const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;
const _: () = assert!(OUT + OUT_BYTES as usize == IN_CONS);

/// Our end of the rings.
pub(super) struct Ring {
    page: Box<dyn Pages>,
    in_prod: u32,
    out_cons: u32,
}

impl Ring {
    /// Goes on where the end before us stopped.
    pub(super) fn attach(page: Box<dyn Pages>) -> Self {
        let (in_prod, out_cons) = (page.load_u32(IN_PROD), page.load_u32(OUT_CONS));
        Self {
            page,
            in_prod,
            out_cons,
        }
    }

    /// Takes what the guest printed, as far as the buffer goes.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let there = self.page.load_u32(OUT_PROD).wrapping_sub(self.out_cons);
        if there > OUT_BYTES {
            // No honest guest gets here: begin anew where it says that it is.
            self.out_cons = self.out_cons.wrapping_add(there);
            self.page.store_u32(OUT_CONS, self.out_cons);
            return 0;
        }
        let count = (there as usize).min(buffer.len());
        let (first, second) = split(self.out_cons, OUT_BYTES, count);
        self.page.read(OUT + first.0, &mut buffer[..first.1]);
        self.page.read(OUT + second.0, &mut buffer[first.1..count]);
        self.out_cons = self.out_cons.wrapping_add(length(count));
        self.page.store_u32(OUT_CONS, self.out_cons);
        count
    }

    /// Gives the guest as much as it has room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let used = self.in_prod.wrapping_sub(self.page.load_u32(IN_CONS));
        let room = IN_BYTES.saturating_sub(used) as usize;
        let count = room.min(bytes.len());
        let (first, second) = split(self.in_prod, IN_BYTES, count);
        self.page.write(IN + first.0, &bytes[..first.1]);
        self.page.write(IN + second.0, &bytes[first.1..count]);
        self.in_prod = self.in_prod.wrapping_add(length(count));
        self.page.store_u32(IN_PROD, self.in_prod);
        count
    }
}

/// Where `count` bytes from an index on lie in a ring, as (offset, length) up to
/// its end and from its beginning. `count` is at most the ring's size, which is a
/// power of two.
fn split(index: u32, size: u32, count: usize) -> ((usize, usize), (usize, usize)) {
    let at = (index & (size - 1)) as usize;
    let first = count.min(size as usize - at);
    ((at, first), (0, count - first))
}

/// At most the size of a ring.
fn length(count: usize) -> u32 {
    u32::try_from(count).expect("a ring has at most 2048 bytes")
}
