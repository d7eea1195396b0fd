//! `domctl.h`: the registers of a guest's vCPUs.

use super::domctl::{Payload, UNION};
use super::{HypercallError, Xen, get_u32};
use crate::domid::DomId;
use crate::seam::Errno;

/// `XEN_DOMCTL_setvcpucontext`, `_gethvmcontext`, `_sethvmcontext`.
const SET_VCPU_CONTEXT: u32 = 12;
const GET_HVM_CONTEXT: u32 = 33;
const SET_HVM_CONTEXT: u32 = 34;

impl Xen {
    /// Sets the registers of a PV guest's first vCPU.
    pub(crate) fn set_vcpu_context(
        &self,
        domain: DomId,
        context: &[u8],
    ) -> Result<(), HypercallError> {
        // struct xen_domctl_vcpucontext: vcpu, padding, ctxt.
        let pointed = Some((UNION + 8, context.to_vec()));
        self.domctl(
            ("XEN_DOMCTL_setvcpucontext", SET_VCPU_CONTEXT),
            domain.get(),
            &Payload::default(),
            pointed,
        )
        .map(drop)
    }

    /// Reads an HVM guest's state records.
    pub(crate) fn hvm_context(&self, domain: DomId) -> Result<Vec<u8>, HypercallError> {
        // struct xen_domctl_hvmcontext: size, padding, buffer. Without a buffer
        // it says how much would be needed.
        let get = |payload: &Payload, pointed| {
            let operation = "XEN_DOMCTL_gethvmcontext";
            self.domctl((operation, GET_HVM_CONTEXT), domain.get(), payload, pointed)
        };
        let (_, buffers) = get(&Payload::default(), None)?;
        let size = get_u32(&buffers[0], UNION);
        let mut payload = Payload::default();
        payload.put_u32(0, size);
        let (_, mut buffers) = get(&payload, Some((UNION + 8, vec![0; size as usize])))?;
        let written = get_u32(&buffers[0], UNION).min(size) as usize;
        let mut context = buffers.pop().unwrap_or_default();
        context.truncate(written);
        Ok(context)
    }

    /// Sets an HVM guest's state records.
    pub(crate) fn set_hvm_context(
        &self,
        domain: DomId,
        records: &[u8],
    ) -> Result<(), HypercallError> {
        const OPERATION: &str = "XEN_DOMCTL_sethvmcontext";
        let size = u32::try_from(records.len()).map_err(|_| HypercallError {
            operation: OPERATION,
            errno: Errno(libc::EINVAL),
        })?;
        let mut payload = Payload::default();
        payload.put_u32(0, size);
        let pointed = Some((UNION + 8, records.to_vec()));
        self.domctl(
            (OPERATION, SET_HVM_CONTEXT),
            domain.get(),
            &payload,
            pointed,
        )
        .map(drop)
    }
}
