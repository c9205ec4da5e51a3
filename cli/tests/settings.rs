//! Settings as a process finds them: options, environment, `.env`, profiles, and where keys go.

#[cfg(test)]
mod settings {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    /// The program in a folder, with nothing of this machine's settings.
    fn automagik(dir: &Path, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_automagik"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("AUTOMAGIK_") || name.starts_with("LANGFLOW_") {
                command.env_remove(name);
            }
        }
        command.env("HOME", dir).env_remove("XDG_CONFIG_HOME").current_dir(dir);
        command.args(line.split_whitespace()).stdin(Stdio::null());
        command
    }

    fn run(dir: &Path, line: &str) -> Output {
        automagik(dir, line).output().unwrap()
    }

    fn code(output: &Output) -> i32 {
        output.status.code().unwrap()
    }

    fn out(output: &Output) -> String {
        String::from_utf8(output.stdout.clone()).unwrap()
    }

    fn err(output: &Output) -> String {
        String::from_utf8(output.stderr.clone()).unwrap()
    }

    #[test]
    fn an_option_beats_the_environment_which_beats_dotenv_which_beats_the_profile() {
        let dir = tempfile::tempdir().unwrap();
        let server = |command: &mut Command| {
            let output = command.output().unwrap();
            assert_eq!(code(&output), 0, "{}", err(&output));
            out(&output).trim().to_owned()
        };
        assert_eq!(code(&run(dir.path(), "config get server")), 6, "not set at all");
        assert_eq!(code(&run(dir.path(), "config set server http://profile")), 0);
        let get = "config get server";
        assert_eq!(server(&mut automagik(dir.path(), get)), "http://profile");
        std::fs::write(dir.path().join(".env"), "AUTOMAGIK_URL=http://dotenv\nOTHER=1\n").unwrap();
        assert_eq!(server(&mut automagik(dir.path(), get)), "http://dotenv");
        let mut left = automagik(dir.path(), get);
        assert_eq!(server(left.env("AUTOMAGIK_NO_DOTENV", "1")), "http://profile");
        let mut set = automagik(dir.path(), get);
        assert_eq!(server(set.env("AUTOMAGIK_URL", "http://env")), "http://env");
        let mut typed = automagik(dir.path(), &format!("{get} --server http://typed"));
        assert_eq!(server(typed.env("AUTOMAGIK_URL", "http://env")), "http://typed");
        let listed = out(&run(dir.path(), "config list"));
        assert!(
            listed.contains("http://dotenv") && listed.contains(".env (AUTOMAGIK_URL)"),
            "{listed}"
        );
    }

    #[test]
    fn a_port_may_stand_in_dotenv_as_in_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".env"), "AUTOMAGIK_API_PORT=many\n").unwrap();
        let output = run(dir.path(), "up");
        assert_eq!(code(&output), 2, "{}", err(&output));
        assert!(err(&output).contains("many"), "{}", err(&output));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_but_help_needs_no_settings() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".env"), "\nAUTOMAGIK_URL http://a\n").unwrap();
        let output = run(dir.path(), "status");
        assert_eq!(code(&output), 2);
        assert!(
            err(&output).starts_with("error: .env line 2 cannot be read\n"),
            "{}",
            err(&output)
        );
        assert_eq!(code(&run(dir.path(), "status --help")), 0);
        assert_eq!(code(&run(dir.path(), "completions fish")), 0);
    }

    #[test]
    fn a_configuration_file_with_an_unknown_setting_says_where_and_what_was_meant() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(".config").join("automagik");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), "[profiles.a]\nserverr = \"http://a\"\n")
            .unwrap();
        let output = run(dir.path(), "status");
        assert_eq!(code(&output), 2);
        let said = err(&output);
        assert!(said.contains("config.toml line 2"), "{said}");
        assert!(said.contains("did you mean: server"), "{said}");
        assert!(said.contains("server, api_key, data_dir, output, time"), "{said}");
        assert!(out(&run(dir.path(), "config path")).trim().ends_with("config.toml"));
        let other = dir.path().join("other.toml");
        let elsewhere = |line: &str| {
            automagik(dir.path(), line).env("AUTOMAGIK_CONFIG", &other).output().unwrap()
        };
        let output = elsewhere("task list");
        assert_eq!(code(&output), 2);
        assert!(err(&output).contains("AUTOMAGIK_CONFIG names it"), "{}", err(&output));
        assert_eq!(code(&elsewhere("config set output json")), 0, "which may make it");
        assert_eq!(code(&elsewhere("config list")), 0);
    }

    #[test]
    fn setting_a_value_chooses_no_profile_and_a_choice_can_be_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let output = run(dir.path(), "config set server http://team --profile team");
        assert_eq!(code(&output), 0);
        assert!(err(&output).contains("use it: --profile team"), "{}", err(&output));
        assert_eq!(code(&run(dir.path(), "config get server")), 6, "the first one neither");
        assert_eq!(code(&run(dir.path(), "config set server http://usual")), 0);
        assert_eq!(out(&run(dir.path(), "config get server")), "http://usual\n");
        assert_eq!(code(&run(dir.path(), "config use team")), 0);
        assert_eq!(out(&run(dir.path(), "config get server")), "http://team\n");
        let output = run(dir.path(), "config use --none");
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert!(err(&output).contains("no profile counts"), "{}", err(&output));
        assert_eq!(code(&run(dir.path(), "config get server")), 6);
        assert_eq!(code(&run(dir.path(), "config use")), 2);
        assert_eq!(code(&run(dir.path(), "config use team --none")), 2);
    }

    #[test]
    fn profiles_are_made_chosen_and_never_show_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = "sk-spark-0123456789abcdef";
        let mut set = automagik(dir.path(), "config set api_key --profile team");
        set.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = set.spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{key}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert!(!err(&output).contains(key), "{}", err(&output));
        assert_eq!(code(&run(dir.path(), "config set output json --profile other")), 0);
        let output = run(dir.path(), "config list --profile taem");
        assert_eq!(code(&output), 6);
        assert!(err(&output).contains("did you mean: team"), "{}", err(&output));
        let listed = run(dir.path(), "config list --profile team");
        assert!(out(&listed).contains("****cdef") && !out(&listed).contains(key));
        assert_eq!(out(&run(dir.path(), "config get api_key --profile team")).trim(), key);
        assert_eq!(code(&run(dir.path(), "config use other")), 0);
        assert!(out(&run(dir.path(), "config list")).starts_with('{'), "its output is json");
        assert_eq!(code(&run(dir.path(), "config unset output")), 0);
        assert!(out(&run(dir.path(), "config list")).starts_with("SETTING"));
        assert_eq!(code(&run(dir.path(), "config set servr x")), 2);
        assert_eq!(code(&run(dir.path(), "config set output xml")), 2);
    }

    #[test]
    fn a_key_is_not_sent_to_whoever_listens_where_a_server_might_be() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join(".automagik");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("api-key"), "sk-spark-secret\n").unwrap();
        let output = run(dir.path(), "status");
        assert_eq!(code(&output), 1);
        let said = err(&output);
        assert!(said.starts_with("error: no server is running for "), "{said}");
        assert!(said.contains("start it: automagik up\n"), "{said}");
        // What a killed server left: its address, where somebody else listens now, under a number
        // that another process has now.
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let file = format!(r#"{{"url":"{url}","pid":{}}}"#, std::process::id());
        std::fs::write(data.join("server.json"), file).unwrap();
        std::fs::write(data.join("automagik.lock"), "").unwrap();
        listener.set_nonblocking(true).unwrap();
        let output = run(dir.path(), "status");
        assert_eq!(code(&output), 1);
        assert!(err(&output).starts_with("error: no server is running for "), "{}", err(&output));
        assert!(listener.accept().is_err(), "nobody was asked");
        // An address on this machine that was named is another matter.
        listener.set_nonblocking(false).unwrap();
        let mut asked = automagik(dir.path(), &format!("task list --server {url}"));
        let mut child = asked.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0_u8; 4096];
        let n = stream.read(&mut head).unwrap();
        let head = String::from_utf8_lossy(&head[..n]).into_owned();
        assert!(head.contains("sk-spark-secret"), "{head}");
        drop(stream);
        child.wait().unwrap();
    }
}
