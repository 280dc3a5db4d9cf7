//! Lets `deploy/program/build` say how the linker makes the file of `ccd`: in which order its functions come, and how the
//! places are written down that the start has to adjust.

/// Names the file with the order. Nobody else sets it: not every linker knows the argument.
const ORDER: &str = "CCD_SYMBOL_ORDER";
/// Asks for `DT_RELR`, which not every linker and not every C library knows: 64 places in 8 bytes instead of 24 bytes for
/// each, all of which the start reads.
const PACKED: &str = "CCD_PACKED_RELOCATIONS";

#[expect(clippy::disallowed_methods, reason = "a build script is told by its environment")]
fn main() {
    println!("cargo::rerun-if-env-changed={ORDER}");
    println!("cargo::rerun-if-env-changed={PACKED}");
    if std::env::var_os(PACKED).is_some() {
        println!("cargo::rustc-link-arg-bin=ccd=-Wl,-z,pack-relative-relocs");
    }
    if let Some(file) = std::env::var_os(ORDER) {
        println!("cargo::rustc-link-arg-bin=ccd=-Wl,--symbol-ordering-file={}", file.display());
        // Names change with the code, and an order of before is good enough for the first of two builds.
        println!("cargo::rustc-link-arg-bin=ccd=-Wl,--no-warn-symbol-ordering");
    }
}
