//! Kernels made for tests: small ELF images and bzImages, right or wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;

use crate::kernel::{Kernel, Limits};

/// Where Linux's notes put a kernel.
pub(crate) const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;
pub(crate) const KERNEL_PADDR: u64 = 0x100_0000;
pub(crate) const INIT_P2M: u64 = 0x80_0000_0000;

/// A loadable segment.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) paddr: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) mem_bytes: u64,
}

/// What an ELF image is made of.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) loads: Vec<Load>,
    pub(crate) notes: Vec<(u32, Vec<u8>)>,
    /// Notes are found through a section, not through a segment.
    pub(crate) notes_by_section: bool,
    pub(crate) note_align: u64,
}

impl Image {
    /// The notes and places of a Linux kernel with PV and PVH support.
    pub(crate) fn linux() -> Self {
        let word = |value: u64| value.to_le_bytes().to_vec();
        let text = |text: &str| [text.as_bytes(), b"\0"].concat();
        Self {
            loads: vec![
                Load {
                    paddr: KERNEL_PADDR,
                    bytes: patterned(0x5123, 7),
                    mem_bytes: 0x5123,
                },
                Load {
                    paddr: KERNEL_PADDR + 0x20_0800,
                    bytes: patterned(0x1800, 11),
                    mem_bytes: 0x9345,
                },
            ],
            notes: vec![
                (6, text("linux")),
                (5, text("xen-3.0")),
                (3, word(VIRT_BASE)),
                (15, word(INIT_P2M)),
                (1, word(VIRT_BASE + KERNEL_PADDR + 0x120)),
                (10, text("!writable_page_tables")),
                (17, 0x8801_u32.to_le_bytes().to_vec()),
                (16, 1_u32.to_le_bytes().to_vec()),
                (4, word(0)),
                (18, word(KERNEL_PADDR + 0x40)),
            ],
            notes_by_section: false,
            note_align: 4,
        }
    }

    pub(crate) fn without(mut self, kind: u32) -> Self {
        self.notes.retain(|(other, _)| *other != kind);
        self
    }

    pub(crate) fn with(self, kind: u32, value: u64) -> Self {
        let mut image = self.without(kind);
        image.notes.push((kind, value.to_le_bytes().to_vec()));
        image
    }

    /// The ELF file: header, program headers, notes, segments, section headers.
    pub(crate) fn elf(&self) -> Vec<u8> {
        let notes = self.note_bytes();
        let segments = self.loads.len() + usize::from(!self.notes_by_section);
        let notes_at = 64 + 56 * segments;
        let mut at = (notes_at + notes.len()) as u64;
        let mut headers = Vec::new();
        let mut body = notes.clone();
        for load in &self.loads {
            let fields = [at, VIRT_BASE.wrapping_add(load.paddr), load.paddr];
            headers.extend(program_header(1, fields, load.bytes.len(), load.mem_bytes));
            body.extend_from_slice(&load.bytes);
            at += load.bytes.len() as u64;
        }
        if !self.notes_by_section {
            let fields = [notes_at as u64, 0, 0];
            let mut header = program_header(4, fields, notes.len(), notes.len() as u64);
            header[48..56].copy_from_slice(&self.note_align.to_le_bytes());
            headers.extend(header);
        }
        let mut section = vec![0; 64];
        section[4..8].copy_from_slice(&7_u32.to_le_bytes());
        section[24..32].copy_from_slice(&(notes_at as u64).to_le_bytes());
        section[32..40].copy_from_slice(&(notes.len() as u64).to_le_bytes());
        section[48..56].copy_from_slice(&self.note_align.to_le_bytes());

        let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
        elf.resize(64, 0);
        elf[16..18].copy_from_slice(&2_u16.to_le_bytes());
        elf[18..20].copy_from_slice(&62_u16.to_le_bytes());
        elf[32..40].copy_from_slice(&64_u64.to_le_bytes());
        elf[40..48].copy_from_slice(&at.to_le_bytes());
        let count = u16::try_from(segments).unwrap();
        for (offset, value) in [(54, 56), (56, count), (58, 64), (60, 1)] {
            elf[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
        }
        [elf, headers, body, section].concat()
    }

    fn note_bytes(&self) -> Vec<u8> {
        let align = usize::try_from(self.note_align).unwrap();
        let mut bytes = note(b"GNU\0", 3, &[1; 20], align);
        for (kind, value) in &self.notes {
            bytes.extend(note(b"Xen\0", *kind, value, align));
        }
        bytes
    }

    pub(crate) fn kernel(&self) -> Kernel {
        Kernel::parse(&self.elf(), &Limits::default()).unwrap()
    }
}

fn note(name: &[u8], kind: u32, value: &[u8], align: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(name.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(name);
    bytes.resize(bytes.len().next_multiple_of(align), 0);
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(align), 0);
    bytes
}

/// `fields`: offset, virtual and physical address.
fn program_header(kind: u32, fields: [u64; 3], file_bytes: usize, mem_bytes: u64) -> Vec<u8> {
    let mut header = [kind.to_le_bytes(), 5_u32.to_le_bytes()].concat();
    for field in fields {
        header.extend(field.to_le_bytes());
    }
    header.extend((file_bytes as u64).to_le_bytes());
    header.extend(mem_bytes.to_le_bytes());
    header.extend(0x1000_u64.to_le_bytes());
    header
}

/// Bytes that differ from page to page, and are never zero.
pub(crate) fn patterned(length: usize, step: usize) -> Vec<u8> {
    (0..length)
        .map(|i| u8::try_from((i * step + i / 4096) % 255 + 1).unwrap())
        .collect()
}

/// A bzImage around a payload.
pub(crate) fn bzimage(payload: &[u8]) -> Vec<u8> {
    const PAYLOAD_OFFSET: u32 = 0x123;
    let mut bytes = vec![0; 512 * 3 + 0x123];
    bytes[0x1f1] = 2;
    bytes[0x1fe..0x200].copy_from_slice(&0xaa55_u16.to_le_bytes());
    bytes[0x202..0x206].copy_from_slice(b"HdrS");
    bytes[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    bytes[0x248..0x24c].copy_from_slice(&PAYLOAD_OFFSET.to_le_bytes());
    let length = u32::try_from(payload.len()).unwrap();
    bytes[0x24c..0x250].copy_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    // What Linux has behind it: the rest of the decompressor.
    bytes.extend_from_slice(&[0x90; 100]);
    bytes
}

/// The compressions that Linux offers and this crate reads, as Linux's build
/// calls them.
pub(crate) const FORMATS: [&str; 5] = ["none", "gzip", "xz", "lz4", "zstd"];

/// The payload of a bzImage as Linux's build makes it.
pub(crate) fn compress(format: &str, image: &[u8]) -> Vec<u8> {
    let mut payload = match format {
        "none" => return image.to_vec(),
        "gzip" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(image).unwrap();
            return encoder.finish().unwrap();
        }
        "xz" => {
            use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
            let mut filters = Filters::new();
            filters.x86();
            filters.lzma2(&LzmaOptions::new_preset(1).unwrap());
            let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
            let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
            encoder.write_all(image).unwrap();
            encoder.finish().unwrap()
        }
        "lz4" => {
            let mut payload = vec![0x02, 0x21, 0x4c, 0x18];
            for block in image.chunks(8 << 20) {
                let block = lz4_flex::block::compress(block);
                payload.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
                payload.extend(block);
            }
            payload
        }
        "zstd" => zstd::encode_all(image, 1).unwrap(),
        other => panic!("no such format: {other}"),
    };
    payload.extend(u32::try_from(image.len()).unwrap().to_le_bytes());
    payload
}
