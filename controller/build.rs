//! Lets `deploy/program/build` say in which order the linker puts the functions of `ccd` into its file.

/// Names the file with the order. Nobody else sets it: not every linker knows the argument.
const ORDER: &str = "CCD_SYMBOL_ORDER";

#[expect(clippy::disallowed_methods, reason = "a build script is told by its environment")]
fn main() {
    println!("cargo::rerun-if-env-changed={ORDER}");
    if let Some(file) = std::env::var_os(ORDER) {
        println!("cargo::rustc-link-arg-bin=ccd=-Wl,--symbol-ordering-file={}", file.display());
        // Names change with the code, and an order of before is good enough for the first of two builds.
        println!("cargo::rustc-link-arg-bin=ccd=-Wl,--no-warn-symbol-ordering");
    }
}
