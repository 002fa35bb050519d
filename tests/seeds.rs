//! Promise 18 without a fuzzer: what each fuzz target does is compiled with the suite, on the stable compiler, and runs over its seeds and over
//! what small damage makes of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]
#![allow(missing_docs, reason = "the targets are programs")]

mod support;

use std::fs;
use std::path::PathBuf;

use support::at_random::Random;

/// Damaged copies of each seed.
const COPIES: usize = 20;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// Runs a target over its seeds, whole and damaged; an input that panics is named by the panic's place in the output.
fn over_seeds(target: &str, run: impl Fn(&[u8])) {
    let mut seeds: Vec<PathBuf> =
        fs::read_dir(folder("seeds").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    let mut random = Random(0x5eed);
    for seed in seeds {
        let bytes = fs::read(&seed).unwrap();
        println!("{}", seed.display());
        run(&bytes);
        for copy in 0..COPIES {
            println!("  damaged copy {copy}");
            let mut damaged = bytes.clone();
            for _ in 0..=copy % 4 {
                damage(&mut damaged, &mut random);
            }
            run(&damaged);
        }
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = usize::try_from(random.bits() >> 33).unwrap() % bytes.len().max(1);
    match random.bits() % 4 {
        0 => bytes.truncate(at),
        1 => bytes.insert(at.min(bytes.len()), random.of(&[0, b'"', b'{', b';', b'/', 0xff, b'\n'])),
        2 => bytes.extend_from_within(at.min(bytes.len())..),
        _ => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= random.of(&[1, 0x20, 0x80])),
    }
}

macro_rules! targets {
    ($($name:ident $test:ident $file:literal $read:expr;)*) => { $(
        #[path = $file]
        mod $name;

        #[test]
        fn $test() {
            over_seeds(stringify!($name), |bytes: &[u8]| $name::run($read(bytes)));
        }
    )* };
}

/// As libFuzzer gives text: up to the first byte that is none.
fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap(),
    }
}

fn whole(bytes: &[u8]) -> &[u8] {
    bytes
}

#[test]
fn every_fuzz_target_is_here_and_has_seeds() {
    let here = fs::read_to_string(folder("../tests/seeds.rs")).unwrap();
    for entry in fs::read_dir(folder("fuzz_targets")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(here.contains(&format!("    {name} {name}_seeds")), "{name} isn't run");
        assert!(folder("src").join(format!("{name}.rs")).is_file(), "{name} has its body elsewhere");
    }
}

targets! {
    condition condition_seeds_dont_panic "../fuzz/src/condition.rs" whole;
    cookies cookies_seeds_dont_panic "../fuzz/src/cookies.rs" whole;
    html html_seeds_dont_panic "../fuzz/src/html.rs" whole;
    identity identity_seeds_dont_panic "../fuzz/src/identity.rs" whole;
    json json_seeds_dont_panic "../fuzz/src/json.rs" whole;
    media media_seeds_dont_panic "../fuzz/src/media.rs" whole;
    replication replication_seeds_dont_panic "../fuzz/src/replication.rs" whole;
    request request_seeds_dont_panic "../fuzz/src/request.rs" whole;
    splice splice_seeds_dont_panic "../fuzz/src/splice.rs" whole;
    rules rules_seeds_dont_panic "../fuzz/src/rules.rs" whole;
    template template_seeds_dont_panic "../fuzz/src/template.rs" text;
}
