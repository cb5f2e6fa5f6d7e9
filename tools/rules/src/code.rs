//! The machine code of a built library or program: names, function bounds, instructions.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// The code of one library or program.
pub struct Code {
    sections: Vec<Section>,
    symbols: BTreeMap<String, u64>,
    functions: Vec<Range<u64>>,
}

struct Section {
    address: u64,
    bytes: Vec<u8>,
}

impl Code {
    /// Reads a shared library or a program.
    pub fn read(path: &Path) -> Result<Code, String> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let file = object::File::parse(&*bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        let text = file.sections().filter(|section| section.kind() == SectionKind::Text);
        let sections = text
            .filter_map(|section| Some(Section { address: section.address(), bytes: section.data().ok()?.to_vec() }));
        let is_function = |symbol: &object::Symbol<'_, '_>| symbol.kind() == SymbolKind::Text && symbol.is_definition();
        let functions = || file.symbols().chain(file.dynamic_symbols()).filter(is_function);
        let names = functions().filter_map(|symbol| Some((symbol.name().ok()?.to_string(), symbol.address())));
        let ranges = functions().map(|symbol| symbol.address()..symbol.address() + symbol.size());
        Ok(Code {
            sections: sections.collect(),
            symbols: names.collect(),
            functions: ranges.filter(|range| !range.is_empty()).collect(),
        })
    }

    /// The address of a function.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).copied()
    }

    /// The addresses of the function that `address` is in.
    pub fn function(&self, address: u64) -> Range<u64> {
        self.functions.iter().find(|function| function.contains(&address)).cloned().unwrap_or(address..u64::MAX)
    }

    /// The instruction at `address`, if there is one.
    pub fn instruction(&self, address: u64) -> Option<Instruction> {
        let section = self.sections.iter().find(|section| section.range().contains(&address))?;
        let offset = usize::try_from(address - section.address).ok()?;
        let mut decoder = Decoder::with_ip(64, &section.bytes[offset..], address, DecoderOptions::NONE);
        Some(decoder.decode()).filter(|instruction| !instruction.is_invalid())
    }
}

impl Section {
    fn range(&self) -> Range<u64> {
        self.address..self.address + self.bytes.len() as u64
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use iced_x86::code_asm::{CodeAssembler, CodeLabel};

    pub(crate) const BASE: u64 = 0x1000;

    /// One function at `BASE`, then a cold one that pushes, calls and returns; its label is given to `write`.
    pub(crate) fn assemble(
        write: impl FnOnce(&mut CodeAssembler, CodeLabel) -> Result<(), iced_x86::IcedError>,
    ) -> Code {
        let build = || {
            let mut assembler = CodeAssembler::new(64)?;
            let mut cold = assembler.create_label();
            write(&mut assembler, cold)?;
            assembler.set_label(&mut cold)?;
            assembler.push(iced_x86::code_asm::rax)?;
            assembler.call(iced_x86::code_asm::rax)?;
            assembler.pop(iced_x86::code_asm::rax)?;
            assembler.ret()?;
            let result =
                assembler.assemble_options(BASE, iced_x86::BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
            let cold = BASE + result.label_ip(&cold)? - BASE;
            Ok::<_, iced_x86::IcedError>((result.inner.code_buffer, cold))
        };
        let (bytes, cold) = build().expect("the assembler takes what the test writes");
        let end = BASE + bytes.len() as u64;
        Code {
            sections: vec![Section { address: BASE, bytes }],
            symbols: BTreeMap::new(),
            functions: vec![BASE..cold, cold..end],
        }
    }

    #[test]
    fn instructions_are_found_by_address_inside_the_code_only() {
        let code = assemble(|assembler, _| assembler.nop());
        assert_eq!(code.instruction(BASE).map(|instruction| instruction.mnemonic()), Some(iced_x86::Mnemonic::Nop));
        assert_eq!(code.instruction(BASE - 1), None);
        assert_eq!(code.function(BASE), BASE..BASE + 1);
    }

    #[test]
    fn a_file_that_is_no_library_is_named() {
        let problem = Code::read(Path::new(file!())).err().unwrap_or_default();
        assert!(problem.contains("code.rs"), "{problem}");
    }
}
