//! `cargo xtask pictures`: the pictures of the demo shop and of the inspector, taken anew by Debian's Chromium.

use anyhow::bail;

use crate::{command, project, setup};

/// Where the documents have them.
const FOLDER: &str = "docs/images";
/// The end-to-end tests that take them.
const TESTS: [&str; 3] =
    ["four_visitors_see_four_shops", "who_accepts_sees_what_one_looked_at", "a_link_opens_the_inspector"];

/// Builds what the test needs, and runs it with the folder to write to.
pub fn run() -> anyhow::Result<()> {
    if command::find("chromium").is_none() {
        bail!("chromium is missing (Debian: apt-get install chromium)");
    }
    let folder = project::root()?.join(FOLDER);
    std::fs::create_dir_all(&folder)?;
    let mut test = setup::end_to_end(&["test", "--package", "e2e", "--test", "browser", "--", "--nocapture"])?;
    command::run(test.args(TESTS).env("EDGE_PICTURES", &folder))?;
    println!("The pictures are in {FOLDER}");
    Ok(())
}
