//! Kernels that parse, and all that must not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::fixture::{FORMATS, Image, KERNEL_PADDR, Load, VIRT_BASE, bzimage, compress};
use super::*;

fn parse(bytes: &[u8]) -> Result<Kernel, KernelError> {
    Kernel::parse(bytes, &Limits::default())
}

fn message(bytes: &[u8]) -> String {
    parse(bytes).unwrap_err().to_string()
}

#[test]
fn reads_an_elf_image_and_every_compression_alike() {
    let elf = Image::linux().elf();
    let plain = parse(&elf).unwrap();
    for format in FORMATS {
        let kernel = parse(&bzimage(&compress(format, &elf))).unwrap();
        assert_eq!(kernel.bytes, plain.bytes, "{format}");
        assert_eq!(kernel.segments, plain.segments, "{format}");
        assert_eq!(kernel.notes, plain.notes, "{format}");
    }
}

#[test]
fn lz4_images_may_have_many_blocks() {
    let mut image = Image::linux();
    image.loads[1].bytes = fixture::patterned(17 << 20, 3);
    image.loads[1].mem_bytes = 17 << 20;
    let elf = image.elf();
    let kernel = parse(&bzimage(&compress("lz4", &elf))).unwrap();
    assert_eq!(kernel.bytes, elf);
}

#[test]
fn tells_what_linux_says_of_itself() {
    let kernel = Image::linux().kernel();
    let notes = kernel.notes();
    assert_eq!(notes.entry, Some(VIRT_BASE + KERNEL_PADDR + 0x120));
    assert_eq!(notes.virt_base, VIRT_BASE);
    assert_eq!(notes.init_p2m, Some(0x80_0000_0000));
    assert_eq!(notes.hypercall_page, None);
    assert_eq!(notes.guest_os.as_deref(), Some("linux"));
    assert_eq!(notes.xen_version.as_deref(), Some("xen-3.0"));
    assert_eq!(notes.supported_features, 0x8801);
    assert!(notes.mod_start_pfn && kernel.supports_pv() && kernel.supports_pvh());

    let segments: Vec<_> = kernel.segments().collect();
    assert_eq!(segments.len(), 2);
    assert_eq!(segments[0].paddr, KERNEL_PADDR);
    assert_eq!(segments[0].vaddr, VIRT_BASE + KERNEL_PADDR);
    assert_eq!(segments[1].bytes.len(), 0x1800);
    assert_eq!(segments[1].mem_bytes, 0x9345);
    assert!(segments[0].flags.read && segments[0].flags.execute && !segments[0].flags.write);
}

#[test]
fn finds_notes_by_section_and_with_eight_byte_padding() {
    let plain = Image::linux().kernel();
    for (notes_by_section, note_align) in [(true, 4), (false, 8), (true, 8)] {
        let kernel = Image {
            notes_by_section,
            note_align,
            ..Image::linux()
        }
        .kernel();
        assert_eq!(kernel.notes, plain.notes);
    }
}

#[test]
fn takes_the_physical_offset_off() {
    let mut image = Image::linux().with(4, VIRT_BASE);
    for load in &mut image.loads {
        load.paddr += VIRT_BASE;
    }
    let kernel = image.kernel();
    let plain = Image::linux().kernel();
    let paddrs = |kernel: &Kernel| kernel.segments().map(|s| s.paddr).collect::<Vec<_>>();
    assert_eq!(paddrs(&kernel), paddrs(&plain));
}

#[test]
fn a_required_feature_that_pv_lacks_rules_pv_out() {
    for (features, pv) in [
        ("!writable_page_tables|pae_pgdir_above_4gb", true),
        ("auto_translated_physmap", true),
        ("writable_page_tables|!auto_translated_physmap", false),
        ("!dom0", false),
    ] {
        let mut image = Image::linux().without(10);
        image.notes.push((10, features.as_bytes().to_vec()));
        assert_eq!(image.kernel().supports_pv(), pv, "{features}");
    }
    let only_pvh = Image::linux().without(1).kernel();
    assert!(!only_pvh.supports_pv() && only_pvh.supports_pvh());
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let limits = Limits {
        inflated_bytes: 1 << 20,
        ..Limits::default()
    };
    let bomb = vec![0; 20 << 20];
    for format in FORMATS {
        let image = if format == "none" {
            Image::linux().elf().repeat(100)
        } else {
            bomb.clone()
        };
        let error = Kernel::parse(&bzimage(&compress(format, &image)), &limits).unwrap_err();
        assert!(
            matches!(error, KernelError::InflatedTooBig { limit } if limit == 1 << 20),
            "{format}: {error}"
        );
    }
    // Exactly the limit is allowed.
    let elf = Image::linux().elf();
    let limits = Limits {
        inflated_bytes: elf.len(),
        ..Limits::default()
    };
    for format in FORMATS {
        Kernel::parse(&bzimage(&compress(format, &elf)), &limits).unwrap();
    }
}

#[test]
fn a_file_beyond_the_limit_is_not_looked_at() {
    let limits = Limits {
        file_bytes: 10,
        ..Limits::default()
    };
    let error = Kernel::parse(&[0; 11], &limits).unwrap_err();
    assert!(matches!(
        error,
        KernelError::FileTooBig {
            bytes: 11,
            limit: 10
        }
    ));
}

#[test]
fn a_payload_must_inflate_to_the_size_behind_it() {
    let elf = Image::linux().elf();
    for format in ["xz", "lz4", "zstd"] {
        let mut payload = compress(format, &elf);
        let last = payload.len() - 1;
        payload[last] ^= 1;
        let error = parse(&bzimage(&payload)).unwrap_err();
        assert!(
            matches!(error, KernelError::PayloadMismatch { .. }),
            "{format}: {error}"
        );
    }
}

#[test]
fn lz4_blocks_that_are_not_full_cannot_be_many() {
    // A block of one byte is a token for nothing at all.
    let mut payload = vec![0x02, 0x21, 0x4c, 0x18];
    for _ in 0..3 {
        payload.extend([1, 0, 0, 0, 0]);
    }
    payload.extend([0; 4]);
    let error = parse(&bzimage(&payload)).unwrap_err();
    assert!(error.to_string().contains("not full"), "{error}");
}

#[test]
fn notes_that_are_named_again_and_again_are_not_read() {
    let mut image = Image::linux();
    image.notes_by_section = true;
    image.notes.push((0x1000, vec![0; 1 << 20]));
    let error = parse(&image.elf()).unwrap_err();
    assert!(matches!(error, KernelError::NotesTooLong { .. }), "{error}");
}

#[test]
fn every_prefix_of_a_kernel_is_an_error() {
    let elf = Image::linux().elf();
    // The last 64 bytes are a section header, which may be missing.
    for length in (0..elf.len() - 64).step_by(97).chain(0..700) {
        parse(&elf[..length]).unwrap_err();
    }
    for format in ["gzip", "xz", "lz4", "zstd"] {
        let payload = compress(format, &elf);
        for length in (0..payload.len() - 4).step_by(211) {
            parse(&bzimage(&payload[..length])).unwrap_err();
        }
        let whole = bzimage(&payload);
        for length in (0..whole.len() - 100).step_by(211) {
            parse(&whole[..length]).unwrap_err();
        }
    }
}

#[test]
fn errors_say_what_to_do() {
    assert!(message(b"#!/bin/sh").contains("give a vmlinuz"));
    assert!(message(&[]).contains("give a vmlinuz"));
    let old = {
        let mut bytes = bzimage(b"");
        bytes[0x206..0x208].copy_from_slice(&0x0207_u16.to_le_bytes());
        bytes
    };
    assert!(message(&old).contains("2.07 is too old"));
    let lzma = bzimage(&[0x5d, 0, 0, 0, 4, 0xff]);
    assert!(message(&lzma).contains("build it with gzip, xz, lz4 or zstd"));
    let mut foreign = Image::linux();
    foreign.notes.clear();
    assert!(message(&foreign.elf()).contains("CONFIG_XEN_PV"));
    let mut arm = Image::linux().elf();
    arm[18] = 183;
    assert!(message(&arm).contains("EM_X86_64"));
    let mut damaged = compress("gzip", &Image::linux().elf());
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    assert!(message(&bzimage(&damaged)).contains("gzip payload of the kernel is damaged"));
    let odd = {
        let mut image = Image::linux().without(18);
        image.notes.push((18, vec![1, 2, 3]));
        image
    };
    assert!(message(&odd.elf()).contains("note 18"));
    assert!(message(&Image::linux().with(18, 1 << 32).elf()).contains("note 18"));
}

#[test]
fn absurd_segments_are_refused() {
    let load = |paddr, file: usize, mem_bytes| Load {
        paddr,
        bytes: vec![1; file],
        mem_bytes,
    };
    let with = |loads: Vec<Load>| {
        let image = Image {
            loads,
            ..Image::linux()
        };
        message(&image.elf())
    };
    assert!(with(vec![]).contains("no loadable segment"));
    assert!(with(vec![load(0x1000, 0, 0)]).contains("no loadable segment"));
    assert!(with(vec![load(0x1000, 2, 1)]).contains("larger in the file"));
    assert!(with(vec![load(u64::MAX - 10, 8, 8)]).contains("beyond 1 TiB"));
    assert!(with(vec![load(0x1000, 8, u64::MAX)]).contains("beyond 1 TiB"));
    let overlap = vec![load(0x2000, 1, 0x1000), load(0x1000, 1, 0x1001)];
    assert!(with(overlap).contains("overlap at physical address 0x2000"));

    // The first program header's offset, beyond the end of the file.
    let mut elf = Image::linux().elf();
    elf[64 + 8..64 + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(message(&elf).contains("outside of the file"));
    let mut elf = Image::linux().elf();
    elf[56..58].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(message(&elf).contains("1024 entries"));
}

/// A kernel that parses keeps what its documentation says.
fn check(kernel: &Kernel) {
    let mut end = 0;
    for segment in kernel.segments() {
        assert!(segment.paddr >= end);
        assert!(segment.mem_bytes > 0 && segment.bytes.len() as u64 <= segment.mem_bytes);
        end = segment.paddr + segment.mem_bytes;
    }
    assert!(end > 0 && end <= MAX_PADDR);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = parse(&bytes);
        let _ = parse(&[b"\x7fELF\x02\x01\x01".as_slice(), &bytes].concat());
        for format in FORMATS {
            let magic = compress(format, &[])[..4.min(compress(format, &[]).len())].to_vec();
            let _ = parse(&bzimage(&[magic, bytes.clone()].concat()));
        }
    }

    #[test]
    fn mutated_images_never_panic(
        changes in proptest::collection::vec((0_usize..700, any::<u8>()), 1..6),
        format in 0..FORMATS.len(),
    ) {
        let mut elf = Image::linux().elf();
        for (at, value) in &changes {
            elf[*at] = *value;
        }
        if let Ok(kernel) = parse(&elf) {
            check(&kernel);
        }
        let whole = Image::linux().elf();
        let mut packed = bzimage(&compress(FORMATS[format], &whole));
        for (at, value) in changes {
            // The setup header's interesting part and the payload's beginning.
            packed[0x1f0 + at * 3] = value;
        }
        if let Ok(kernel) = parse(&packed) {
            check(&kernel);
        }
    }
}

/// A distribution's kernel, named by `XENIOS_TEST_KERNEL`; without it, nothing
/// is tested here.
#[test]
fn a_real_kernel_parses() {
    let Some(path) = std::env::var_os("XENIOS_TEST_KERNEL") else {
        return;
    };
    let kernel = parse(&std::fs::read(path).unwrap()).unwrap();
    check(&kernel);
    assert!(kernel.supports_pv() && kernel.supports_pvh(), "{kernel:?}");
    assert_eq!(kernel.notes().virt_base, VIRT_BASE);
}
