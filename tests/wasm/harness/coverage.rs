//! For `make coverage`: the counters of every VM, summed and written as one of LLVM's raw profiles.
//!
//! The module has no runtime to write it, so it is put together here from the sections in the module's memory.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use wasmtime::{Instance, Store};

/// Of a profile of 32 bits, little endian: `\xfflprofR\x81`, read from its end.
const MAGIC: u64 = 0xff6c_7072_6f66_5281;
/// Of the format, which LLVM's tools compare with their own: 10 since LLVM 20.
const VERSION: u64 = 10;
/// What the data of one function takes, on 32 bits.
const DATA_BYTES: usize = 48;
const COUNTER_BYTES: usize = 8;
/// `IPVK_Last`: the kinds of values that the format knows.
const LAST_KIND: u64 = 2;

static WANTED: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| env::var_os("FUSEBOX_COVERAGE").map(PathBuf::from));

static COUNTERS: Mutex<Vec<u64>> = Mutex::new(Vec::new());

pub fn is_wanted() -> bool {
    WANTED.is_some()
}

/// Adds what one VM counted. A guest that is written for a test counts nothing.
pub fn keep<T>(store: &mut Store<T>, instance: &Instance) {
    let Ok(ask) = instance.get_typed_func::<u32, u64>(&mut *store, "coverage") else { return };
    let Some(directory) = &*WANTED else { return };
    store.set_fuel(u64::MAX).expect("fuel is on");
    let mut answer = |n| ask.call(&mut *store, n).expect("the module says where its counters are");
    let [data, data_end, counters, counters_end, names, names_end] =
        [0, 1, 2, 3, 4, 5].map(&mut answer);
    let memory = instance.get_memory(&mut *store, "memory").expect("a module has a memory");
    let section = |start, end| &memory.data(&*store)[start as usize..end as usize];
    let (data_section, names_section) = (section(data, data_end), section(names, names_end));

    let mut sums = COUNTERS.lock().expect("no test panics while it adds");
    let (counted, _) = section(counters, counters_end).as_chunks::<COUNTER_BYTES>();
    sums.resize(counted.len(), 0);
    for (sum, counted) in sums.iter_mut().zip(counted) {
        *sum += u64::from_le_bytes(*counted);
    }
    let header = [
        MAGIC,
        VERSION,
        0, // Bytes of build ids.
        (data_section.len() / DATA_BYTES) as u64,
        0, // Padding before the counters.
        sums.len() as u64,
        0, // Padding after them.
        0, // Bytes of bitmaps,
        0, // and padding after them.
        names_section.len() as u64,
        u64::from((counters as u32).wrapping_sub(data as u32)),
        0, // No bitmaps, so they are nowhere.
        names,
        0, // Tables of virtual functions,
        0, // and their names.
        LAST_KIND,
    ];
    let mut profile: Vec<u8> = header.iter().flat_map(|field| field.to_le_bytes()).collect();
    profile.extend(data_section);
    profile.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
    profile.extend(names_section);
    profile.resize(profile.len().next_multiple_of(8), 0);
    let file = directory.join(format!("wasm-{}.profraw", std::process::id()));
    fs::write(file, profile).expect("the profile can be written");
}
