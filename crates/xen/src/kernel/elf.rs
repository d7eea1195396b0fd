//! ELF64 as far as a boot loader needs it: program headers, and notes from
//! segments or sections.
//!
//! Offsets are those of the System V ABI (`Elf64_Ehdr`, `Elf64_Phdr`,
//! `Elf64_Shdr`, `Elf64_Nhdr`). Every offset and size is checked against the
//! file before it is used.

use super::bytes::{range, u16_at, u32_at, u64_at};
use super::{KernelError, MAX_PADDR, Placement, SegmentFlags, XenNotes};

const MAGIC: &[u8] = b"\x7fELF";
const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;
const SECTION_HEADER_BYTES: u16 = 64;
/// Entries of a table at most. A kernel has about ten segments and a hundred
/// sections.
const MAX_HEADERS: u16 = 1024;

/// Bytes of notes at most, in all areas together: headers may name the same bytes
/// again and again. A kernel has some hundred.
const MAX_NOTE_BYTES: usize = 1 << 20;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const SHT_NOTE: u32 = 7;

/// The name that Xen's notes carry.
const XEN: &[u8] = b"Xen\0";

/// Whether the bytes claim to be an ELF image.
pub(super) fn is_elf(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// An ELF64 x86-64 executable whose header tables lie within the file.
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    program_headers: &'a [u8],
    section_headers: &'a [u8],
}

/// A stretch of the file that holds notes, and how they are aligned.
struct NoteArea<'a> {
    bytes: &'a [u8],
    align: u64,
}

impl<'a> Elf<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, KernelError> {
        let wrong = |what| Err(KernelError::WrongElf { what });
        if !is_elf(bytes) {
            return Err(KernelError::UnknownFormat);
        }
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or(KernelError::Truncated {
                what: "the ELF header",
            })?;
        let field = |offset| u16_at(header, offset).unwrap_or_default();
        // EI_CLASS, EI_DATA, e_machine, e_type.
        if header[4] != 2 {
            return wrong("its class is not ELFCLASS64");
        }
        if header[5] != 1 {
            return wrong("its data is not little-endian");
        }
        if field(18) != 62 {
            return wrong("its machine is not EM_X86_64");
        }
        if !matches!(field(16), 2 | 3) {
            return wrong("its type is neither ET_EXEC nor ET_DYN");
        }
        let table = |at, size, count, expected, what| {
            let count = field(count);
            if count == 0 {
                return Ok(&bytes[..0]);
            }
            if field(size) != expected {
                return Err(KernelError::WrongElf {
                    what: "a header table has entries of an unknown size",
                });
            }
            if count > MAX_HEADERS {
                return Err(KernelError::WrongElf {
                    what: "a header table has more than 1024 entries",
                });
            }
            let offset = u64_at(header, at).unwrap_or_default();
            range(bytes, offset, u64::from(count) * u64::from(expected))
                .ok_or(KernelError::Truncated { what })
        };
        let program = "the program header table";
        Ok(Self {
            bytes,
            program_headers: table(32, 54, 56, PROGRAM_HEADER_BYTES, program)?,
            // Stripped kernels keep the field and lose the table: it only serves
            // when the segments hold no notes.
            section_headers: table(40, 58, 60, SECTION_HEADER_BYTES, "").unwrap_or_default(),
        })
    }

    fn program_headers(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let size = usize::from(PROGRAM_HEADER_BYTES);
        self.program_headers.chunks_exact(size).enumerate()
    }

    /// The loadable segments by ascending address, `paddr_offset` taken off.
    pub(super) fn segments(&self, paddr_offset: u64) -> Result<Vec<Placement>, KernelError> {
        let mut segments = Vec::new();
        for (index, header) in self.program_headers() {
            let number = |offset| u64_at(header, offset).unwrap_or_default();
            if u32_at(header, 0) != Some(PT_LOAD) || number(40) == 0 {
                continue;
            }
            let bad = |what| KernelError::BadSegment { index, what };
            let (offset, file_bytes, mem_bytes) = (number(8), number(32), number(40));
            if file_bytes > mem_bytes {
                return Err(bad("it is larger in the file than in memory"));
            }
            if range(self.bytes, offset, file_bytes).is_none() {
                return Err(bad("its bytes lie outside of the file"));
            }
            let paddr = number(24)
                .checked_sub(paddr_offset)
                .ok_or(bad("it lies below the kernel's PADDR_OFFSET"))?;
            if paddr
                .checked_add(mem_bytes)
                .is_none_or(|end| end > MAX_PADDR)
            {
                return Err(bad("it ends beyond 1 TiB of physical memory"));
            }
            let start = usize::try_from(offset).unwrap_or_default();
            let length = usize::try_from(file_bytes).unwrap_or_default();
            let flags = u32_at(header, 4).unwrap_or_default();
            segments.push(Placement {
                paddr,
                vaddr: number(16),
                file: start..start + length,
                mem_bytes,
                flags: SegmentFlags {
                    execute: flags & 1 != 0,
                    write: flags & 2 != 0,
                    read: flags & 4 != 0,
                },
            });
        }
        segments.sort_by_key(|segment| segment.paddr);
        for pair in segments.windows(2) {
            if pair[0].paddr + pair[0].mem_bytes > pair[1].paddr {
                return Err(KernelError::OverlappingSegments {
                    paddr: pair[1].paddr,
                });
            }
        }
        if segments.is_empty() {
            return Err(KernelError::NoSegments);
        }
        Ok(segments)
    }

    /// Xen's notes: from the segments, or from the sections where the segments
    /// have none.
    pub(super) fn xen_notes(&self) -> Result<XenNotes, KernelError> {
        let mut notes = XenNotes::default();
        let in_segments = read_notes(self.note_segments()?, &mut notes)?;
        if !in_segments && !read_notes(self.note_sections()?, &mut notes)? {
            return Err(KernelError::NoXenNotes);
        }
        Ok(notes)
    }

    fn note_segments(&self) -> Result<Vec<NoteArea<'a>>, KernelError> {
        self.program_headers()
            .filter(|(_, header)| u32_at(header, 0) == Some(PT_NOTE))
            .map(|(_, header)| self.note_area(header, [8, 32, 48]))
            .collect()
    }

    fn note_sections(&self) -> Result<Vec<NoteArea<'a>>, KernelError> {
        self.section_headers
            .chunks_exact(usize::from(SECTION_HEADER_BYTES))
            .filter(|header| u32_at(header, 4) == Some(SHT_NOTE))
            .map(|header| self.note_area(header, [24, 32, 48]))
            .collect()
    }

    /// The notes that a header describes, whose offset, size and alignment are
    /// at these places.
    fn note_area(&self, header: &[u8], at: [usize; 3]) -> Result<NoteArea<'a>, KernelError> {
        let [offset, size, align] = at.map(|at| u64_at(header, at).unwrap_or_default());
        let bytes =
            range(self.bytes, offset, size).ok_or(KernelError::Truncated { what: "the notes" })?;
        Ok(NoteArea {
            bytes,
            align: if align == 8 { 8 } else { 4 },
        })
    }
}

/// Reads all of Xen's notes in these areas; false if there was none.
fn read_notes(areas: Vec<NoteArea<'_>>, notes: &mut XenNotes) -> Result<bool, KernelError> {
    let mut found = false;
    if areas.iter().map(|area| area.bytes.len()).sum::<usize>() > MAX_NOTE_BYTES {
        return Err(KernelError::NotesTooLong {
            limit: MAX_NOTE_BYTES,
        });
    }
    for area in areas {
        let mut rest = area.bytes;
        // Padding at the end may be shorter than a note's header.
        while rest.len() >= 12 {
            let note =
                Note::first(rest, area.align).ok_or(KernelError::Truncated { what: "a note" })?;
            if note.name == XEN {
                notes.read(note.kind, note.value)?;
                found = true;
            }
            rest = note.rest;
        }
    }
    Ok(found)
}

/// One note, and the bytes that follow it.
struct Note<'a> {
    name: &'a [u8],
    kind: u32,
    value: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Note<'a> {
    fn first(bytes: &'a [u8], align: u64) -> Option<Self> {
        let name_bytes = u64::from(u32_at(bytes, 0)?);
        let value_bytes = u64::from(u32_at(bytes, 4)?);
        let value_at = (12 + name_bytes).next_multiple_of(align);
        let end = (value_at + value_bytes).next_multiple_of(align);
        Some(Self {
            name: range(bytes, 12, name_bytes)?,
            kind: u32_at(bytes, 8)?,
            value: range(bytes, value_at, value_bytes)?,
            // The last note's padding may be left out.
            rest: usize::try_from(end)
                .ok()
                .and_then(|end| bytes.get(end..))
                .unwrap_or_default(),
        })
    }
}
