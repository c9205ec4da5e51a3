//! What `up` says when it is ready: where everything is, and what to type next. Pure but for the
//! look at PATH.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::ms;
use crate::home::Home;
use crate::output::text::{quoted, width};
use crate::output::time;

/// Which LangFlow belongs to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LangFlowPlan {
    /// None.
    None,
    /// One that runs already.
    Given {
        /// Its base URL.
        url: String,
        /// Its API key.
        api_key: Option<String>,
    },
    /// One of our own, installed into the data directory.
    Own {
        /// The Python to install it with.
        python: Option<String>,
    },
}

/// What is to be said.
pub(crate) struct Banner {
    /// Where the API is.
    pub(crate) url: String,
    /// Whether other machines can reach it.
    pub(crate) open_to_others: bool,
    /// Where the data is.
    pub(crate) home: Home,
    /// Whether the key came from outside.
    pub(crate) key_given: bool,
    /// LangFlow.
    pub(crate) langflow: LangFlowPlan,
    /// Whether this process makes calls.
    pub(crate) has_worker: bool,
    /// From the start of the process.
    pub(crate) took: Duration,
}

impl Banner {
    /// As lines, the last without its line break.
    pub(crate) fn text(&self) -> String {
        let places = Places::read();
        self.text_for(&places)
    }

    fn text_for(&self, places: &Places) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let took = time::duration(ms(self.took));
        let mut lines = vec![format!("\nSpark {version} is ready after {took}\n")];
        let others = if self.open_to_others { "   other machines can reach it" } else { "" };
        lines.push(format!("  API       {}{others}", self.url));
        lines.push(format!("  Data      {}", places.short(self.home.dir())));
        lines.push(match self.key_given {
            true => "  API key   the one in AUTOMAGIK_API_KEY or --api-key".to_owned(),
            false => format!("  API key   in {}", places.short(&self.home.key_file())),
        });
        lines.extend(match &self.langflow {
            LangFlowPlan::None => {
                Some("  LangFlow  none yet; `up --with-langflow` installs one".to_owned())
            }
            LangFlowPlan::Given { url, .. } => {
                Some(format!("  LangFlow  {url}   is being connected, see below"))
            }
            LangFlowPlan::Own { .. } => Some(match super::langflow_folder(&self.home).is_dir() {
                true => "  LangFlow  is starting, see below".to_owned(),
                false => "  LangFlow  is being installed, which takes a few minutes, see below"
                    .to_owned(),
            }),
        });
        if !self.has_worker {
            lines.push("  Worker    none in here; tasks wait until one is started".to_owned());
        }
        lines.push("\nNext, in another terminal:".to_owned());
        let next = self.exports(places).into_iter().chain(commands(&self.next(), places));
        lines.extend(next.map(|line| format!("  {line}")));
        lines.push(
            "\nctrl-c stops it; nothing is lost, and schedules go on at the next start.\n"
                .to_owned(),
        );
        lines.join("\n")
    }

    /// What the other terminal must know to find this server.
    fn exports(&self, places: &Places) -> Vec<String> {
        let mut lines = Vec::new();
        if self.home.dir() != places.home_default {
            let dir =
                std::path::absolute(self.home.dir()).unwrap_or_else(|_| self.home.dir().to_owned());
            lines.push(format!("export AUTOMAGIK_HOME={}", quoted(&dir.display().to_string())));
        }
        if self.key_given {
            lines.push("export AUTOMAGIK_API_KEY=...   # the same key".to_owned());
        }
        lines
    }

    fn next(&self) -> Vec<&'static str> {
        let next: &[&str] = match self.langflow {
            LangFlowPlan::None => {
                &["source add http://localhost:7860 --name dev", "flow list --remote", "status"]
            }
            LangFlowPlan::Given { .. } => &["flow list --remote", "flow list", "status"],
            // The hello flow is there only when LangFlow is; what to try then is said then.
            LangFlowPlan::Own { .. } => &["status", "task list --watch"],
        };
        let worker: &[&str] = if self.has_worker { &[] } else { &["worker start"] };
        [worker, next].concat()
    }
}

/// Lines that can be typed as they are. Where the way to the program would make them too long, it
/// is given a short name first.
fn commands(next: &[&str], places: &Places) -> Vec<String> {
    let program = places.program.as_str();
    let line = |name: &str, rest: &str| format!("{name} {rest}");
    if next.iter().all(|rest| width(&line(program, rest)) + 2 <= WIDTH) {
        return next.iter().map(|rest| line(program, rest)).collect();
    }
    let name = "automagik";
    // Absolute, so that it goes on working after a `cd`.
    let alias = format!("alias {name}={}", places.exe);
    std::iter::once(alias).chain(next.iter().map(|rest| line(name, rest))).collect()
}

/// Columns of a line.
const WIDTH: usize = 80;

/// What works once the hello flow is there.
const HELLO: &[&str] = &[
    "flow run hello-spark --input \"hello\" --wait",
    "schedule create hello-spark --every 30s --name greet",
    "task list --watch",
];

/// What is said when LangFlow is there and the hello flow with it.
pub(crate) fn hello(editor: &str) -> String {
    let lines = commands(HELLO, &Places::read()).join("\n  ");
    format!("\nLangFlow is ready: {editor} (its editor)\nTry:\n  {lines}\n")
}

/// How this program is called on the command line.
pub(crate) fn program() -> String {
    Places::read().program
}

/// Where things are on this machine.
struct Places {
    /// How to call this program, as short as it goes.
    program: String,
    /// The same, absolute.
    exe: String,
    user_home: Option<PathBuf>,
    home_default: PathBuf,
}

impl Places {
    fn read() -> Self {
        let user_home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let here = std::env::current_dir().ok();
        let exe = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("automagik"));
        Self {
            program: call_of(&exe, &folders, here.as_deref()),
            exe: quoted(&exe.display().to_string()),
            user_home,
            home_default: Home::new(None).dir().to_owned(),
        }
    }

    fn short(&self, path: &Path) -> String {
        match self.user_home.as_deref().and_then(|home| path.strip_prefix(home).ok()) {
            Some(rest) => format!("~/{}", rest.display()),
            None => path.display().to_string(),
        }
    }
}

/// `automagik` where that finds this very program, else the way to it: from here if it lies below.
fn call_of(exe: &Path, folders: &[PathBuf], here: Option<&Path>) -> String {
    let real = |path: &Path| path.canonicalize().ok();
    let found = folders.iter().map(|folder| folder.join("automagik")).find(|path| path.is_file());
    if found.is_some_and(|found| real(&found).is_some() && real(&found) == real(exe)) {
        return "automagik".to_owned();
    }
    let below = here.and_then(|here| exe.strip_prefix(here).ok());
    let path = match below {
        Some(rest) if rest.components().count() > 1 => rest.display().to_string(),
        Some(rest) => format!("./{}", rest.display()),
        None => exe.display().to_string(),
    };
    quoted(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places {
            program: "target/release/automagik".into(),
            exe: "/home/ana/spark/target/release/automagik".into(),
            user_home: Some("/home/ana".into()),
            home_default: "/home/ana/.automagik".into(),
        }
    }

    fn banner(dir: &str, langflow: LangFlowPlan) -> Banner {
        Banner {
            url: "http://127.0.0.1:8888".into(),
            open_to_others: false,
            home: Home::new(Some(Path::new(dir))),
            key_given: false,
            langflow,
            has_worker: true,
            took: Duration::from_millis(84),
        }
    }

    #[test]
    fn the_banner_fits_and_names_what_is_needed() {
        for langflow in [
            LangFlowPlan::None,
            LangFlowPlan::Own { python: None },
            LangFlowPlan::Given {
                url: "http://localhost:7860".into(),
                api_key: Some("sk-secret".into()),
            },
        ] {
            let text = banner("/home/ana/.automagik", langflow).text_for(&places());
            assert!(text.lines().all(|line| width(line) <= 80), "{text}");
            assert!(text.contains("http://127.0.0.1:8888") && text.contains("84 ms"), "{text}");
            assert!(text.contains("~/.automagik/api-key"), "{text}");
            assert!(text.contains("  target/release/automagik "), "{text}");
            assert!(!text.contains("export") && !text.contains("sk-secret"), "{text}");
        }
    }

    #[test]
    fn another_directory_or_key_is_told_to_the_other_terminal() {
        let mut banner = banner("/srv/my data", LangFlowPlan::None);
        banner.key_given = true;
        banner.open_to_others = true;
        let text = banner.text_for(&places());
        assert!(text.contains("  export AUTOMAGIK_HOME='/srv/my data'\n"), "{text}");
        assert!(text.contains("  export AUTOMAGIK_API_KEY=..."), "{text}");
        assert!(text.contains("other machines can reach it"), "{text}");
    }

    #[test]
    fn what_is_not_there_yet_is_not_said_to_be_there() {
        let url = "http://localhost:7860".to_owned();
        let given = LangFlowPlan::Given { url, api_key: None };
        let mut banner = banner("/home/ana/.automagik", given);
        let text = banner.text_for(&places());
        assert!(text.contains("7860   is being connected, see below"), "{text}");
        assert!(!text.contains("worker"), "{text}");
        banner.has_worker = false;
        let text = banner.text_for(&places());
        assert!(text.contains("  Worker    none in here"), "{text}");
        assert!(text.contains("\n  target/release/automagik worker start\n"), "{text}");
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
    }

    #[test]
    fn a_long_way_to_the_program_is_named_once() {
        let long = format!("{}automagik", "deep/".repeat(12));
        let far = Places { program: long, ..places() };
        let lines = commands(HELLO, &far);
        assert_eq!(lines[0], "alias automagik=/home/ana/spark/target/release/automagik");
        assert_eq!(lines[1], "automagik flow run hello-spark --input \"hello\" --wait");
        assert_eq!(commands(&["status"], &places()), ["target/release/automagik status"]);
    }

    #[test]
    fn the_program_is_called_as_it_can_be_called() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("bin");
        std::fs::create_dir_all(&folder).unwrap();
        let exe = folder.join("automagik");
        std::fs::write(&exe, "").unwrap();
        let in_path = std::slice::from_ref(&folder);
        assert_eq!(call_of(&exe, in_path, None), "automagik");
        assert_eq!(call_of(&exe, &[], Some(dir.path())), "bin/automagik");
        assert_eq!(call_of(&exe, &[], Some(&folder)), "./automagik");
        assert_eq!(call_of(&exe, &[], None), exe.display().to_string());
        // Another program of the same name comes first in PATH.
        let other = dir.path().join("other");
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("automagik"), "").unwrap();
        assert_eq!(call_of(&exe, &[other, folder.clone()], None), exe.display().to_string());
    }
}
