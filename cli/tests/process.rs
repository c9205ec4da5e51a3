//! The program as a process: exit codes, the streams it writes to, its lock, its ordered end.

#[cfg(test)]
mod process {
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::{Child, ChildStderr, Command, Output, Stdio};

    /// The program with a data directory, and nothing of this machine's settings.
    fn automagik(home: &Path, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automagik"));
        for name in [
            "AUTOMAGIK_URL",
            "AUTOMAGIK_API_KEY",
            "AUTOMAGIK_API_HOST",
            "AUTOMAGIK_API_PORT",
            "LANGFLOW_API_URL",
            "RUST_LOG",
            "CLICOLOR_FORCE",
        ] {
            command.env_remove(name);
        }
        // Neither this machine's profiles nor a `.env` of the folder that the tests run in.
        let config = home.join("config.toml");
        if !config.exists() {
            std::fs::write(&config, "").unwrap();
        }
        command.env("AUTOMAGIK_CONFIG", config).current_dir(home);
        command.env("AUTOMAGIK_HOME", home).args(line.split_whitespace()).stdin(Stdio::null());
        command
    }

    fn run(home: &Path, line: &str) -> Output {
        automagik(home, line).output().unwrap()
    }

    fn code(output: &Output) -> i32 {
        output.status.code().unwrap()
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_service_without_a_home_needs_no_configuration_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = automagik(dir.path(), "status --server http://127.0.0.1:1");
        for name in ["HOME", "XDG_CONFIG_HOME", "AUTOMAGIK_CONFIG", "AUTOMAGIK_PROFILE"] {
            command.env_remove(name);
        }
        let said = text(&command.output().unwrap().stderr);
        assert!(!said.contains("configuration file"), "{said}");
        let named = text(&command.args(["--profile", "work"]).output().unwrap().stderr);
        assert!(named.contains("no place for a configuration file"), "{named}");
    }

    /// A server on a free port, killed at the end of the test if it did not end before.
    struct Server {
        child: Child,
        said: BufReader<ChildStderr>,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    impl Server {
        fn start(home: &Path) -> Self {
            let mut child = automagik(home, "up --port 0")
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let said = BufReader::new(child.stderr.take().unwrap());
            let mut server = Self { child, said };
            server.wait_for("is ready");
            server
        }

        /// Reads what it says up to a line with this text.
        fn wait_for(&mut self, part: &str) {
            let mut line = String::new();
            while !line.contains(part) {
                line.clear();
                let n = self.said.read_line(&mut line).unwrap();
                assert!(n > 0, "the server ended before it said {part:?}");
            }
        }
    }

    #[test]
    fn without_a_server_everything_says_how_to_start_one() {
        let home = tempfile::tempdir().unwrap();
        // A port that nobody listens on: it was just given back.
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        for line in ["status", "task list -o json", "flow run x --input y"] {
            let output = run(home.path(), &format!("{line} --server {url}"));
            assert_eq!(code(&output), 1, "{line}");
            assert!(output.stdout.is_empty(), "{line}");
            let said = text(&output.stderr);
            assert!(said.starts_with(&format!("error: no server at {url}\n")), "{said}");
            assert!(said.contains("automagik up") && !said.contains('\u{1b}'), "{said}");
        }
    }

    #[test]
    fn a_server_tells_of_old_variables_and_of_a_missing_worker() {
        let home = tempfile::tempdir().unwrap();
        let mut command = automagik(home.path(), "api start --port 0");
        command.env("AUTOMAGIK_SPARK_API_KEY", "sk-old").env("AUTOMAGIK_LOG_LEVEL", "LOUD");
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut server = Server { child, said };
        server.wait_for("AUTOMAGIK_LOG_LEVEL=LOUD was passed over");
        server.wait_for("AUTOMAGIK_SPARK_API_KEY is not read: use AUTOMAGIK_API_KEY");
        server.wait_for("Worker    none in here");
    }

    #[test]
    fn an_old_variable_with_a_key_is_named_where_no_key_was_sent() {
        let home = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let mut server = Server::start(home.path());
        let file = std::fs::read_to_string(home.path().join("server.json")).unwrap();
        let url = file.split('"').find(|part| part.starts_with("http")).unwrap();
        let mut command = automagik(other.path(), &format!("task list --server {url}"));
        let output = command.env("AUTOMAGIK_SPARK_API_KEY", "sk-old").output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(code(&output), 4, "{said}");
        assert!(said.contains("AUTOMAGIK_SPARK_API_KEY is set, but"), "{said}");
        assert!(!said.contains("sk-old"), "{said}");
        server.child.kill().unwrap();
    }

    #[test]
    fn an_old_spelling_is_a_usage_error_that_says_what_to_type() {
        let home = tempfile::tempdir().unwrap();
        let output = run(home.path(), "tasks list --show-logs");
        assert_eq!(code(&output), 2);
        let said = text(&output.stderr);
        assert!(output.stdout.is_empty() && said.contains("next: automagik task log"), "{said}");
        assert!(!said.contains("tip:"), "{said}");
    }

    #[test]
    fn help_is_data_and_a_wrong_word_is_a_usage_error() {
        let home = tempfile::tempdir().unwrap();
        let help = run(home.path(), "flow run --help");
        assert_eq!(code(&help), 0);
        assert!(text(&help.stdout).contains("Examples:") && help.stderr.is_empty());
        let wrong = run(home.path(), "schedule puase");
        assert_eq!(code(&wrong), 2);
        assert!(wrong.stdout.is_empty() && text(&wrong.stderr).contains("'pause'"));
        let script = run(home.path(), "completions bash");
        assert_eq!(code(&script), 0);
        assert!(text(&script.stdout).contains("_automagik"));
    }

    #[test]
    fn each_class_of_failure_has_its_exit_code() {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(home.path());
        let table = [
            ("status", 0),
            ("task list", 0),
            ("schedule list -o json", 0),
            ("worker list -o yaml", 0),
            ("task show nothing", 6),
            ("flow run nothing --input x", 6),
            ("schedule create nothing --every 5s --dry-run", 6),
            ("history schedule nothing", 6),
            ("task list --status nonsense", 2),
            ("task list --class nonsense", 2),
            ("task list --sort duration", 2),
            ("task list --since yesterday", 2),
            ("task list --search * --status failed", 2),
            ("task retry", 2),
            ("task retry 0193a7b4 --since 1h", 2),
            ("task retry --since 1h", 2),
            ("task retry --since 1h --wait --yes", 2),
            ("task retry --since 1h --dry-run", 0),
            ("task retry --since 1h --yes", 0),
            ("task cancel --status completed --yes", 2),
            ("task log nothing --follow", 6),
            ("source add nonsense", 2),
            ("key create ci --role viewer -o none", 2),
            ("alert create http://127.0.0.1:1 --name a -o none", 2),
            ("alert rotate-secret a -o none", 2),
            ("key show ci", 6),
            ("alert show a", 6),
            ("task list --api-key wrong", 4),
            ("up --port 0", 7),
        ];
        for (line, expected) in table {
            let output = run(home.path(), line);
            let said = text(&output.stderr);
            assert_eq!(code(&output), expected, "{line}: {said}");
            let complained = said.lines().any(|said| said.starts_with("error: "));
            assert_eq!(complained, expected != 0, "{line}: {said}");
        }
        let list: serde_json::Value =
            serde_json::from_slice(&run(home.path(), "task list -o json").stdout).unwrap();
        assert_eq!(list["total"], 0);
        assert!(run(home.path(), "task list -o none").stdout.is_empty());
        let lock = text(&run(home.path(), "up --port 0").stderr);
        assert!(lock.contains(&format!("process {}", server.child.id())), "{lock}");
    }

    #[test]
    fn no_log_is_made_where_a_restore_broke_off_and_another_one_mends_it() {
        let home = tempfile::tempdir().unwrap();
        let (data, backup) = (home.path().join("data"), home.path().join("monday"));
        let with = |line: &str| run(home.path(), &format!("{line} --data-dir {}", data.display()));
        assert_eq!(code(&with("db init")), 0);
        // What is typed behind the name does not matter.
        let made = with(&format!("db backup {}/", backup.display()));
        assert_eq!(code(&made), 0, "{}", text(&made.stderr));
        let left = data.join("restoring-20260301-120000");
        std::fs::create_dir(&left).unwrap();
        std::fs::rename(data.join("events.db"), left.join("events.db")).unwrap();
        for line in ["up --port 0", "api start --port 0", "db init"] {
            let refused = with(line);
            let said = text(&refused.stderr);
            assert_eq!(code(&refused), 7, "{line}: {said}");
            assert!(said.contains("automagik db restore BACKUP"), "{line}: {said}");
            assert!(!data.join("events.db").exists(), "{line}");
        }
        let mended = with(&format!("db restore {}", backup.display()));
        assert_eq!(code(&mended), 0, "{}", text(&mended.stderr));
        assert!(!left.exists());
        assert_eq!(code(&with("db init")), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_signal_ends_the_server_in_order_and_the_next_one_finds_its_data() {
        let home = tempfile::tempdir().unwrap();
        let mut keys = Vec::new();
        for _ in 0..2 {
            let mut server = Server::start(home.path());
            keys.push(std::fs::read_to_string(home.path().join("api-key")).unwrap());
            assert_eq!(code(&run(home.path(), "status")), 0);
            let pid = i32::try_from(server.child.id()).unwrap();
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            server.wait_for("the event log closes");
            assert!(server.child.wait().unwrap().success());
            assert!(!home.path().join("server.json").exists());
        }
        assert_eq!(keys[0], keys[1]);
    }
}
