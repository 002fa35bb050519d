//! `cargo xtask pictures`: the README's pictures of the demo shop, taken anew by Debian's Chromium.

use anyhow::bail;

use crate::{command, project, setup};

/// Where the README has them.
const FOLDER: &str = "docs/images";
/// The end-to-end tests that take them.
const TESTS: [&str; 2] = ["four_visitors_see_four_shops", "who_accepts_sees_what_one_looked_at"];

/// Builds what the test needs, and runs it with the folder to write to.
pub fn run() -> anyhow::Result<()> {
    if command::find("chromium").is_none() {
        bail!("chromium is missing (Debian: apt-get install chromium)");
    }
    let folder = project::root()?.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let mut test =
        setup::end_to_end(&["test", "--package", "e2e", "--test", "browser", "--", TESTS[0], TESTS[1], "--nocapture"])?;
    command::run(test.env("EDGE_PICTURES", &folder))?;
    println!("The pictures are in {FOLDER}");
    Ok(())
}
