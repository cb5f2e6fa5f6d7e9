//! What one ELF file says about itself: machine, interpreter, and the symbols that mean something to us.

use super::signs::{self, Meaning};
use anyhow::{Context, Result, bail};
use memchr::memmem;
use object::elf::EM_X86_64;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, Object, ObjectSection, ObjectSymbol, ReadCache, SectionKind};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The facts about one program or library.
pub struct Elf {
    /// The dynamic linker it asks for; none in a static program and in most libraries.
    pub interpreter: Option<PathBuf>,
    /// What its own symbols mean.
    pub defines: BTreeSet<Meaning>,
    /// What the symbols it wants from elsewhere mean.
    pub imports: BTreeSet<Meaning>,
}

type Parsed<'data> = ElfFile64<'data, Endianness, &'data ReadCache<File>>;

/// Reads `path`; an error says in one phrase why the file is no x86-64 ELF file.
pub fn read(path: &Path) -> Result<Elf> {
    let data = ReadCache::new(File::open(path).context("cannot be opened")?);
    match FileKind::parse(&data) {
        Ok(FileKind::Elf64) => {}
        Ok(FileKind::Elf32) => bail!("a 32-bit program; HAKMEM is a 64-bit library"),
        _ => bail!("neither an ELF program nor a script that starts with #!"),
    }
    let elf = Parsed::parse(&data).context("a damaged ELF file")?;
    let endian = elf.endian();
    if elf.elf_header().e_machine(endian) != EM_X86_64 {
        bail!("built for {:?}; HAKMEM is built for x86-64", elf.architecture());
    }
    let interpreter = elf
        .elf_program_headers()
        .iter()
        .find_map(|header| header.interpreter(endian, &data).ok().flatten())
        .map(|path| PathBuf::from(OsStr::from_bytes(path)));
    let mut facts = Elf { interpreter, defines: BTreeSet::new(), imports: BTreeSet::new() };
    for symbol in elf.symbols().chain(elf.dynamic_symbols()) {
        if let Some(meaning) = symbol.name_bytes().ok().and_then(signs::meaning) {
            let side = if symbol.is_undefined() { &mut facts.imports } else { &mut facts.defines };
            side.insert(meaning);
        }
    }
    if elf.symbols().next().is_none() {
        facts.defines.extend(allocators_in_text(&elf));
    }
    Ok(facts)
}

/// The allocators whose messages are among the read-only data.
fn allocators_in_text(elf: &Parsed) -> Vec<Meaning> {
    let found = |text: &str| {
        elf.sections()
            .filter(|section| matches!(section.kind(), SectionKind::ReadOnlyData | SectionKind::ReadOnlyString))
            .filter_map(|section| section.data().ok())
            .any(|data| memmem::find(data, text.as_bytes()).is_some())
    };
    signs::TEXTS.iter().filter(|(text, _)| found(text)).map(|(_, meaning)| *meaning).collect()
}
