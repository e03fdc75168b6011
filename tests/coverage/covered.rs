//! The filter with the counters of `-Cinstrument-coverage`, which the harness reads out of the module's memory.
//!
//! A module of its own, which links the crate as it is: what is shipped knows nothing of this.
#![cfg(target_family = "wasm")]
#![allow(unsafe_code)]

// Linked for its exports, which are those of the filter.
extern crate fusebox as _;

/// What instrumented objects ask for instead of the runtime of LLVM's profiles, which does not exist on wasm32.
#[unsafe(no_mangle)]
static __llvm_profile_runtime: i32 = 0;

// Where the linker has put the sections.
unsafe extern "C" {
    static __start___llvm_prf_data: u8;
    static __stop___llvm_prf_data: u8;
    static __start___llvm_prf_cnts: u8;
    static __stop___llvm_prf_cnts: u8;
    static __start___llvm_prf_names: u8;
    static __stop___llvm_prf_names: u8;
}

/// The n-th of: start and end of the data, of the counters, of the names.
#[unsafe(no_mangle)]
extern "C" fn coverage(n: u32) -> u64 {
    match n {
        0 => &raw const __start___llvm_prf_data as u64,
        1 => &raw const __stop___llvm_prf_data as u64,
        2 => &raw const __start___llvm_prf_cnts as u64,
        3 => &raw const __stop___llvm_prf_cnts as u64,
        4 => &raw const __start___llvm_prf_names as u64,
        _ => &raw const __stop___llvm_prf_names as u64,
    }
}
