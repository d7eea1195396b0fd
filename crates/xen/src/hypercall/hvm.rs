//! `hvm/hvm_op.h`: parameters of PVH guests.

use super::{Buffer, HypercallError, Xen, number};
use crate::domid::DomId;
use crate::image::pvh::HvmParam;

/// `HVMOP_set_param`.
const SET_PARAM: u64 = 0;

impl Xen {
    /// Sets a parameter.
    pub(crate) fn set_hvm_param(
        &self,
        domain: DomId,
        param: HvmParam,
        value: u64,
    ) -> Result<(), HypercallError> {
        // struct xen_hvm_param: domid, index, value.
        let mut buffer = Buffer::<16>::default();
        buffer.put_u16(0, domain.get());
        buffer.put_u32(4, param as u32);
        buffer.put_u64(8, value);
        self.command(
            "HVMOP_set_param",
            (number::HVM_OP, SET_PARAM),
            &buffer,
            None,
        )
        .map(drop)
    }
}
