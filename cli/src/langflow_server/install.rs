//! Makes the virtual environment that LangFlow runs from, once per version. A half-made one is
//! made anew; whether one is whole is asked of the environment itself and of a marker, never
//! assumed. It touches nothing outside LangFlow's folder.

use std::convert::Infallible;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::time::Instant;

use super::home::{self, Home};
use super::process::{Group, isolated};
use super::{Say, VERSION};

/// The versions of Python that the pinned LangFlow runs on: 3.10 up to the second, inclusive.
const PYTHON_MINORS: (u32, u32) = (10, 14);
/// How often the user is told that the installation still takes.
const STILL_EVERY: Duration = Duration::from_secs(15);
/// Tells the version, and whether environments can be made (Debian leaves `ensurepip` out).
const PROBE: &str =
    "import sys; print('%d %d' % sys.version_info[:2]); import venv, ensurepip; print('ok')";
/// Asks an environment which LangFlow is in it. This fails when its Python was removed or replaced.
const WHICH: &str = "import importlib.metadata as m; print(m.version('langflow'))";
const WAY_OUT: &str = "or run LangFlow yourself and start with `automagik up --langflow-url URL`";

/// Makes sure that the virtual environment is there and whole.
pub(super) async fn ensure(home: &Home, python: Option<&str>, say: &Say) -> Result<()> {
    let (venv, marker) = (home.venv(), home.venv().join(".complete"));
    if marker.is_file() && installed(home).await.as_deref() == Some(VERSION) {
        return Ok(());
    }
    let python = find_python(python).await?;
    if venv.exists() {
        say("removing an installation of LangFlow that is not whole");
        tokio::fs::remove_dir_all(&venv)
            .await
            .with_context(|| format!("could not remove {}", venv.display()))?;
    }
    let begun = Instant::now();
    say(&format!("installing LangFlow {VERSION} (about 2 minutes and 2 GB of disk, once)"));
    fs::write(home.install_log(), "")?;

    say("  making a Python environment");
    let mut make = Command::new(&python);
    make.args(["-m", "venv"]).arg(&venv);
    step(home, make, "make the virtual environment", begun, say).await?;

    say(&format!("  getting the installer uv ({} s)", begun.elapsed().as_secs()));
    let mut get_uv = Command::new(home.python());
    get_uv.args(["-m", "pip", "install", "--disable-pip-version-check", "uv"]);
    step(home, get_uv, "install uv", begun, say).await?;

    say(&format!("  getting LangFlow and what it needs ({} s)", begun.elapsed().as_secs()));
    let mut get_langflow = Command::new(venv.join("bin").join("uv"));
    get_langflow.args(["pip", "install", "--python"]).arg(home.python());
    get_langflow.arg(format!("langflow=={VERSION}")).env("NO_COLOR", "1");
    step(home, get_langflow, "install LangFlow", begun, say).await?;

    if installed(home).await.as_deref() != Some(VERSION) {
        bail!(
            "the installation ended, but LangFlow {VERSION} is not there; its log is {}",
            home.install_log().display()
        );
    }
    fs::write(marker, "")?;
    say(&format!("LangFlow {VERSION} is installed ({} s)", begun.elapsed().as_secs()));
    remove_others(home, say).await;
    Ok(())
}

/// The version of LangFlow in the environment, if that works at all.
async fn installed(home: &Home) -> Option<String> {
    let mut command = Command::new(home.python());
    let output = isolated(command.args(["-c", WHICH]), home.dir()).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The Python that was asked for, or the first one of the search path that fits.
async fn find_python(wanted: Option<&str>) -> Result<String> {
    if let Some(python) = wanted {
        // The installation runs in another folder, where a relative path would mean another file.
        let python = if python.contains('/') {
            std::path::absolute(python)?.display().to_string()
        } else {
            python.to_string()
        };
        return match probe(&python).await {
            None => Ok(python),
            Some(trouble) => bail!("cannot install LangFlow: {trouble}, {WAY_OUT}"),
        };
    }
    let default = "python3".to_string();
    let Some(trouble) = probe(&default).await else {
        return Ok(default);
    };
    for minor in (PYTHON_MINORS.0..=PYTHON_MINORS.1).rev() {
        let python = format!("python3.{minor}");
        if probe(&python).await.is_none() {
            return Ok(python);
        }
    }
    bail!("cannot install LangFlow: {trouble}, {WAY_OUT}")
}

/// What keeps this Python from being used, with the remedy; `None` when it fits.
async fn probe(python: &str) -> Option<String> {
    let (min, max) = PYTHON_MINORS;
    let wanted = format!("Python 3.{min} to 3.{max}");
    let name_it = "name one with AUTOMAGIK_PYTHON";
    let Ok(output) = Command::new(python).args(["-c", PROBE]).kill_on_drop(true).output().await
    else {
        return Some(format!(
            "{python} was not found; install {wanted} (Debian and Ubuntu: `apt install python3 python3-venv`; \
             macOS: `brew install python@3.13`) or {name_it}"
        ));
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.lines().next().unwrap_or_default().split(' ').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(3)), Some(Ok(minor))) if (min..=max).contains(&minor) => {
            (!text.contains("ok")).then(|| {
                format!(
                    "{python} (3.{minor}) cannot make virtual environments; install its venv module (Debian \
                     and Ubuntu: `apt install python3-venv` or `python3.{minor}-venv`)"
                )
            })
        }
        (Some(Ok(major)), Some(Ok(minor))) => Some(format!(
            "LangFlow {VERSION} needs {wanted}, but {python} is {major}.{minor}; install a fitting one or {name_it}"
        )),
        _ => Some(format!(
            "{python} does not work as a Python ({}); install {wanted} or {name_it}",
            String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it printed nothing")
        )),
    }
}

/// Runs one command of the installation in a group of its own. Its lines go to the log, the
/// telling ones also to the user. Dropping the future kills the group.
async fn step(
    home: &Home,
    mut command: Command,
    what: &str,
    begun: Instant,
    say: &Say,
) -> Result<()> {
    let log = home.install_log();
    let from = fs::metadata(&log).map_or(0, |meta| meta.len());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = isolated(&mut command, home.dir()).spawn().with_context(|| {
        format!("could not {what}: {} did not start", command.as_std().get_program().display())
    })?;
    let _group = Group::of(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (out, err) =
            tokio::join!(relay(stdout, &log, begun, say), relay(stderr, &log, begun, say));
        out.and(err)?;
        child.wait().await.map_err(anyhow::Error::from)
    };
    let status = tokio::select! {
        status = work => status?,
        never = heartbeat(begun, say) => match never {},
    };
    if !status.success() {
        bail!(
            "could not {what} ({status}); try again when the network works, {WAY_OUT}; the log is {}, \
             which ends in:{}",
            log.display(),
            home::tail(&log, from)
        );
    }
    Ok(())
}

/// Tells the user now and then that the installation is still under way.
async fn heartbeat(begun: Instant, say: &Say) -> Infallible {
    loop {
        tokio::time::sleep(STILL_EVERY).await;
        say(&format!("  still working ({} s)", begun.elapsed().as_secs()));
    }
}

/// Copies lines into the log, and those that count packages to the user.
async fn relay(
    from: Option<impl AsyncRead + Unpin>,
    log: &Path,
    begun: Instant,
    say: &Say,
) -> Result<()> {
    let Some(from) = from else { return Ok(()) };
    let mut to = tokio::fs::File::from_std(OpenOptions::new().append(true).open(log)?);
    let mut lines = BufReader::new(from).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        let line = String::from_utf8_lossy(&line).trim_end().to_string();
        to.write_all(format!("{line}\n").as_bytes()).await?;
        if let Some(step) = telling(&line) {
            say(&format!("  {step} ({} s)", begun.elapsed().as_secs()));
        }
    }
    to.flush().await?;
    Ok(())
}

/// The lines of uv that count packages, in our words.
fn telling(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (verb, count, unit) = (words.next()?, words.next()?, words.next()?);
    if !unit.starts_with("package") || count.parse::<u32>().is_err() {
        return None;
    }
    match verb {
        "Resolved" => Some(format!("{count} packages to install")),
        "Prepared" => Some(format!("{count} packages downloaded")),
        "Installed" => Some(format!("{count} packages installed")),
        _ => None,
    }
}

/// Removes the environments of other versions: each is 2 GB, and only the pinned one is used.
async fn remove_others(home: &Home, say: &Say) {
    let Ok(entries) = fs::read_dir(home.dir()) else {
        return;
    };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        let other = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("venv-"));
        if other && path != home.venv() {
            say(&format!("removing the earlier {}", path.display()));
            if let Err(error) = tokio::fs::remove_dir_all(&path).await {
                tracing::warn!(%error, path = %path.display(), "could not remove an earlier LangFlow");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Stands in for Python and, as a copy of itself, for uv.
    const FAKE: &str = r#"#!/bin/sh
here=$(dirname "$0")
case "$*" in
  *"import sys"*) echo "3 12"; echo ok ;;
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/uv" ;;
  "-m pip install "*) echo "Collecting uv" ;;
  "pip install "*)
    echo "Resolved 421 packages in 2s" >&2
    if [ -e "$here/../../offline" ]; then echo "error: no route to the index" >&2; exit 2; fi
    echo "Installed 421 packages in 1s" >&2
    touch "$here/done" ;;
  *importlib*) [ -e "$here/done" ] && echo VERSION ;;
esac
"#;

    struct World {
        dir: tempfile::TempDir,
        home: Home,
        said: Arc<Mutex<Vec<String>>>,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let home = Home::open(dir.path()).unwrap();
            Self { dir, home, said: Arc::default() }
        }

        /// Writes a script through another process: while any thread of this one has a file open
        /// for writing, a child that is forked at that instant keeps it from being executed.
        fn script(&self, name: &str, text: &str) -> String {
            let path = self.dir.path().join(name).display().to_string();
            let mut shell = std::process::Command::new("sh")
                .args(["-c", "cat > \"$0\" && chmod +x \"$0\"", &path])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            assert!(shell.wait().unwrap().success());
            path
        }

        async fn ensure(&self, python: &str) -> Result<Vec<String>> {
            self.said.lock().unwrap().clear();
            let said = Arc::clone(&self.said);
            let say: Say = Arc::new(move |line: &str| said.lock().unwrap().push(line.to_string()));
            ensure(&self.home, Some(python), &say).await?;
            Ok(self.said.lock().unwrap().clone())
        }

        fn marker(&self) -> PathBuf {
            self.home.venv().join(".complete")
        }
    }

    #[tokio::test]
    async fn it_installs_once_and_makes_a_half_made_environment_anew() {
        let world = World::new();
        let python = world.script("python", &FAKE.replace("VERSION", VERSION));
        fs::create_dir_all(world.home.venv().join("half")).unwrap();
        fs::create_dir_all(world.home.dir().join("venv-1.0.0")).unwrap();

        let said = world.ensure(&python).await.unwrap().join("\n");
        assert!(
            said.starts_with("removing an installation of LangFlow that is not whole"),
            "{said}"
        );
        assert!(said.contains("\n  421 packages to install ("), "{said}");
        assert!(said.contains("\n  421 packages installed ("), "{said}");
        assert!(world.marker().is_file() && !world.home.venv().join("half").exists());
        assert!(!world.home.dir().join("venv-1.0.0").exists(), "the earlier version is removed");
        let log = fs::read_to_string(world.home.install_log()).unwrap();
        assert!(log.contains("Collecting uv"), "{log}");

        assert_eq!(world.ensure(&python).await.unwrap(), Vec::<String>::new());
        // The environment no longer works, for example because its Python was replaced.
        fs::remove_file(world.home.venv().join("bin").join("done")).unwrap();
        assert!(!world.ensure(&python).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_failed_installation_shows_the_end_of_its_log_and_is_not_complete() {
        let world = World::new();
        let python = world.script("python", FAKE);
        fs::write(world.home.dir().join("offline"), "").unwrap();
        let error = world.ensure(&python).await.unwrap_err().to_string();
        assert!(error.contains("could not install LangFlow (exit status: 2)"), "{error}");
        assert!(error.contains("no route to the index"), "{error}");
        assert!(error.contains("--langflow-url URL"), "{error}");
        assert!(!world.marker().exists());
    }

    #[tokio::test]
    async fn a_python_that_does_not_fit_is_named_with_the_remedy() {
        let world = World::new();
        let missing = world.dir.path().join("missing").display().to_string();
        let cases = [
            (missing, "was not found; install Python 3.10 to 3.14"),
            (world.script("old", "#!/bin/sh\necho 3 9"), "needs Python 3.10 to 3.14, but"),
            (world.script("new", "#!/bin/sh\necho 3 99"), "is 3.99"),
            (
                world.script("bare", "#!/bin/sh\necho 3 11\nexit 1"),
                "`apt install python3-venv` or `python3.11-venv`",
            ),
            (
                world.script("odd", "#!/bin/sh\necho oops >&2\nexit 1"),
                "does not work as a Python (oops)",
            ),
        ];
        for (python, expected) in cases {
            let error = world.ensure(&python).await.unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("--langflow-url URL"), "{error}");
            assert!(!world.home.venv().exists());
        }
    }

    #[tokio::test]
    async fn an_installation_that_is_cancelled_leaves_nothing_running() {
        let world = World::new();
        let hangs = "#!/bin/sh\ncase \"$*\" in *import*) echo 3 12; echo ok ;; *) echo $$ > pid; sleep 600 ;; esac";
        let python = world.script("python", hangs);
        let pid_file = world.home.dir().join("pid");
        // A group is named by its leader with a minus before it.
        let alive = |pid: &str| {
            let group = format!("-{}", pid.trim());
            let mut kill = std::process::Command::new("kill");
            kill.args(["-0", "--", &group]).stderr(Stdio::null()).status().unwrap().success()
        };
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let begun = async {
            loop {
                tick.tick().await;
                match fs::read_to_string(&pid_file) {
                    Ok(pid) if pid.ends_with('\n') => return pid,
                    _ => {}
                }
            }
        };
        let pid = tokio::select! {
            pid = begun => pid,
            result = world.ensure(&python) => panic!("it hangs, but {result:?}"),
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while alive(&pid) {
            assert!(Instant::now() < deadline, "it still runs");
            tick.tick().await;
        }
    }
}
