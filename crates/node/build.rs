//! Tells the linker that Node's symbols come at load time.

fn main() {
    // For WASM the linker needs emnapi's archives, whose place the napi command line knows; a check of the types does not.
    let wasm = std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm");
    if !wasm || std::env::var_os("EMNAPI_LINK_DIR").is_some() {
        napi_build::setup();
    }
}
