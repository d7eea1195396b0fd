//! A tenant's kernel: read, then laid out as a PV and as a PVH guest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenios_xen::image::{Request, pv, pvh};
use xenios_xen::kernel::{Kernel, Limits};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        file_bytes: 1 << 20,
        inflated_bytes: 4 << 20,
    };
    let Ok(kernel) = Kernel::parse(bytes, &limits) else {
        return;
    };
    for segment in kernel.segments() {
        assert!(segment.bytes.len() as u64 <= segment.mem_bytes);
    }
    let initrd = [7_u8; 5000];
    let request = Request {
        kernel: &kernel,
        memory_pages: 64 << 8,
        vcpus: 2,
        initrd_bytes: initrd.len() as u64,
        cmdline: "console=hvc0",
    };
    let memory_bytes = request.memory_pages * 4096;
    if let Ok(plan) = pv::Plan::new(&request) {
        let frames: Vec<u64> = (0..request.memory_pages)
            .map(|pfn| pfn + 0x10_0000)
            .collect();
        let live = pv::Live {
            p2m: &frames,
            shared_info_frame: 9,
            store_port: 1,
            console_port: 2,
        };
        for load in plan
            .loads(&kernel, &[&initrd])
            .expect("the initrd is the planned one")
        {
            let end = load.paddr + load.bytes.len() as u64 + load.zeros;
            assert!(end <= memory_bytes, "a load lies outside of the guest");
        }
        for run in plan.runs(&live).expect("the frames are the planned ones") {
            let end = run.first.paddr() + run.bytes.len() as u64;
            assert!(end <= memory_bytes, "a run lies outside of the guest");
        }
        plan.vcpu_context(&live)
            .expect("the frames are the planned ones");
    }
    if let Ok(plan) = pvh::Plan::new(&request) {
        for load in plan
            .loads(&kernel, &[&initrd])
            .expect("the initrd is the planned one")
        {
            let end = load.paddr + load.bytes.len() as u64 + load.zeros;
            assert!(end <= memory_bytes, "a load lies outside of the guest");
        }
    }
});
