//! Gives the shared library its name in the dynamic section, so that a program that was linked with a path to it does not
//! keep that path.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libkestrel.so");
    }
}
