//! Which server a command talks to, and with which key. The rule that keeps keys at home: a key
//! that lies somewhere goes only to the server it lies beside.

use reqwest::Url;

use super::{Name, Origin, Setting, Settings};
use crate::client::{Named, Target};
use crate::exit::{Exit, Trouble};
use crate::home::Home;

/// The server and the key. Without a server that was named, it is the one that runs over the data
/// directory; where none does, nothing is guessed.
pub(crate) fn choose(
    settings: &Settings,
    server: Option<Setting>,
    key: Option<Setting>,
    home: &Home,
    reason: Option<String>,
) -> Result<Target, Trouble> {
    let running = home.server().map(|file| file.url);
    let named = server.map(|server| server.value);
    let url = named.or_else(|| running.clone()).ok_or_else(|| no_server(home))?;
    let mut given = "none is given".to_owned();
    let key = match key {
        Some(Setting { value, origin: Origin::Profile }) => {
            let own = settings.of_profile(Name::Server);
            // Where the profile names no server, it is one of this machine.
            let goes =
                own.map_or_else(|| is_beside(&url, running.as_deref()), |own| is_same(&url, own));
            if !goes {
                given = withheld(own);
            }
            goes.then_some(value)
        }
        other => other.map(|typed| typed.value),
    };
    let key_file = home.key_file().display().to_string();
    let mut kept = format!("none is in {key_file}");
    let key = key.or_else(|| {
        let key = home.key()?;
        if is_beside(&url, running.as_deref()) {
            return Some(key);
        }
        kept = format!("the one in {key_file} is for the server of that directory alone");
        None
    });
    let no_key = format!("{given}, and {kept}");
    let is_here = is_own(&url, running.as_deref());
    Ok(Target { server: url, key, no_key, is_here, reason, named: Named::default() })
}

/// Whether the key of the data directory may go to this address: it is where the directory's own
/// server listens, or an address of this machine that was named.
fn is_beside(url: &str, running: Option<&str>) -> bool {
    is_own(url, running) || Url::parse(url).is_ok_and(|url| is_local(&url))
}

/// Whether this is where the directory's own server listens.
fn is_own(url: &str, running: Option<&str>) -> bool {
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
    running.and_then(origin).is_some_and(|own| Some(own) == origin(url))
}

/// Whether two addresses are the same server's.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    is_own(one, Some(other))
}

/// Whether an address is this machine itself.
pub(crate) fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Why the key of a profile is not sent.
fn withheld(server: Option<&str>) -> String {
    match server {
        Some(own) => format!("the one of the profile is for {own} alone"),
        None => "the one of the profile is for this machine alone, because the profile names no \
                 server (automagik config set server URL)"
            .to_owned(),
    }
}

fn no_server(home: &Home) -> Trouble {
    let dir = home.dir().display();
    let start = match home.is_usual() {
        true => "start it: automagik up".to_owned(),
        false => format!("start it: automagik up --data-dir {dir}"),
    };
    Trouble::new(Exit::Failed, format!("no server is running for {dir}"))
        .then(start)
        .then("or name one: --server URL, AUTOMAGIK_URL, or a profile (automagik config --help)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config::Config;

    struct World {
        _dir: tempfile::TempDir,
        home: Home,
        settings: Settings,
    }

    fn world(profile: &str) -> World {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(Some(dir.path()));
        home.key_or_new().unwrap();
        let text = format!("profile = \"p\"\n[profiles.p]\n{profile}");
        let config = Config::parse("c.toml".into(), &text).unwrap();
        let settings = Settings { profile: config.current.clone(), config };
        World { _dir: dir, home, settings }
    }

    impl World {
        fn target(&self, server: Option<&str>, key: Option<&str>) -> Result<Target, Trouble> {
            let find = |key: Name, typed: Option<&str>| {
                let typed = typed.map(|value| (value, Origin::Flag));
                let kept = || Some((self.settings.of_profile(key)?, Origin::Profile));
                let (value, origin) = typed.or_else(kept)?;
                Some(Setting { value: value.to_owned(), origin })
            };
            let (server, key) = (find(Name::Server, server), find(Name::ApiKey, key));
            choose(&self.settings, server, key, &self.home, None)
        }
    }

    #[test]
    fn without_a_server_nothing_is_guessed() {
        let world = world("");
        let trouble = world.target(None, None).unwrap_err();
        let dir = world.home.dir().display().to_string();
        assert_eq!(trouble.what, format!("no server is running for {dir}"));
        assert_eq!(trouble.next[0], format!("start it: automagik up --data-dir {dir}"));
    }

    #[test]
    fn the_directorys_key_stays_on_this_machine() {
        let world = world("");
        let kept = world.home.key();
        for local in ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"] {
            assert_eq!(world.target(Some(local), None).unwrap().key, kept, "{local}");
        }
        for other in
            ["https://spark.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1"]
        {
            let target = world.target(Some(other), None).unwrap();
            assert_eq!(target.key, None, "{other}");
            assert!(target.no_key.contains("of that directory alone"), "{}", target.no_key);
            let typed = world.target(Some(other), Some("mine")).unwrap();
            assert_eq!(typed.key.as_deref(), Some("mine"), "a key that was typed is sent");
        }
    }

    #[test]
    fn a_profiles_key_goes_to_the_profiles_server_only() {
        let profile = "server = \"https://team\"\napi_key = \"team-key\"";
        let world = world(profile);
        let own = world.target(None, None).unwrap();
        assert_eq!((own.server.as_str(), own.key.as_deref()), ("https://team", Some("team-key")));
        let other = world.target(Some("https://elsewhere"), None).unwrap();
        assert_eq!(other.key, None);
        assert!(other.no_key.contains("is for https://team alone"), "{}", other.no_key);
        let typed = world.target(Some("https://team/"), None).unwrap();
        assert_eq!(typed.key.as_deref(), Some("team-key"), "it was named in another way");
    }

    #[test]
    fn the_key_of_a_profile_without_a_server_stays_on_this_machine() {
        let world = world("api_key = \"team-key\"");
        let near = world.target(Some("http://127.0.0.1:9"), None).unwrap();
        assert_eq!(near.key.as_deref(), Some("team-key"));
        let other = world.target(Some("https://spark.example.com"), None).unwrap();
        assert_eq!(other.key, None);
        assert!(other.no_key.contains("config set server"), "{}", other.no_key);
    }

    #[test]
    fn a_server_that_listens_elsewhere_gets_its_own_key() {
        assert!(is_beside("http://192.168.0.5:8888/", Some("http://192.168.0.5:8888")));
        assert!(!is_beside("http://192.168.0.5:8889", Some("http://192.168.0.5:8888")));
    }
}
