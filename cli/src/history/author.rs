//! Who is at work: from the environment, a CI system's own variables, or Git.

use std::process::{Command, Stdio};

/// Names the author, whatever else is known.
const OWN: &str = "PERSONALIZER_AUTHOR";
/// Who started a job: GitHub, GitLab, Bitbucket, CircleCI, Buildkite, Azure, Jenkins (with its plugin).
const OF_CI: [&str; 7] = [
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BITBUCKET_STEP_TRIGGERER_UUID",
    "CIRCLE_USERNAME",
    "BUILDKITE_BUILD_CREATOR",
    "BUILD_REQUESTEDFOR",
    "BUILD_USER_ID",
];
/// Who has logged in, on Unix and on Windows.
const OF_SYSTEM: [&str; 2] = ["USER", "USERNAME"];
/// Characters of a name that are kept.
const MAX_NAME: usize = 100;

/// The author's name: `PERSONALIZER_AUTHOR`, else who started the CI job, else Git's `user.name` and `user.email`, else who has logged in.
pub fn name() -> Option<String> {
    chosen(|name| std::env::var(name).ok(), git)
}

fn chosen(variable: impl Fn(&str) -> Option<String>, git: impl Fn(&str) -> Option<String>) -> Option<String> {
    let tidied = |name: String| Some(tidy(&name, MAX_NAME)).filter(|name| !name.is_empty());
    let from = |names: &[&str]| names.iter().find_map(|name| variable(name).and_then(tidied));
    let of_git = || match (git("user.name"), git("user.email")) {
        (Some(name), Some(email)) => tidied(format!("{name} <{email}>")),
        (name, email) => name.or(email).and_then(tidied),
    };
    from(&[OWN]).or_else(|| from(&OF_CI)).or_else(of_git).or_else(|| from(&OF_SYSTEM))
}

fn git(key: &str) -> Option<String> {
    let output = Command::new("git").args(["config", "--get", key]).stdin(Stdio::null()).output().ok()?;
    let value = String::from_utf8(output.stdout).ok()?;
    Some(value.trim().to_owned()).filter(|value| output.status.success() && !value.is_empty())
}

/// One line of at most so many characters: control characters become spaces, what is too long ends with `…`.
pub fn tidy(text: &str, longest: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.chars().count() <= longest {
        return clean.to_owned();
    }
    clean.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_wins() {
        let all = [("PERSONALIZER_AUTHOR", "Ada"), ("GITHUB_ACTOR", "octocat"), ("USER", "root")];
        let git = |key: &str| Some(if key == "user.name" { "Grace".to_owned() } else { "g@x.example".to_owned() });
        let with = |from: usize, git: &dyn Fn(&str) -> Option<String>| {
            let variable = |name: &str| {
                all.get(from..)?.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            chosen(variable, git)
        };
        assert_eq!(with(0, &git).as_deref(), Some("Ada"));
        assert_eq!(with(1, &git).as_deref(), Some("octocat"));
        assert_eq!(with(2, &git).as_deref(), Some("Grace <g@x.example>"));
        assert_eq!(with(2, &|_| None).as_deref(), Some("root"));
        assert_eq!(with(3, &|_| None), None);
    }

    #[test]
    fn a_name_is_one_line_and_short() {
        assert_eq!(tidy(" a\nb\u{1b}[31m ", 100), "a b [31m");
        assert_eq!(tidy("äöüß", 3), "äö…");
    }
}
