//! The files of a data directory: a backup of a server that runs, its way back, and a log whose
//! promises are checked.

use std::fs;

use spark_tests::binary::Automagik;

/// A server with something in it.
async fn filled() -> Automagik {
    let automagik = Automagik::started().await;
    let url = automagik.url();
    let add = ["source", "add", &url, "--type", "http", "--name", "hook", "--path", "/livez"];
    automagik.ok(&[&add[..], &["--method", "GET", "--health-path", "/livez"]].concat()).await;
    automagik.ok(&["flow", "run", "hook", "--input", "x", "--wait"]).await;
    automagik.ok(&["schedule", "create", "hook", "--every", "1h", "--name", "greet"]).await;
    automagik
}

#[tokio::test]
async fn a_backup_of_a_running_server_becomes_another_one() {
    let automagik = filled().await;
    let dir = automagik.beside().join("backup");
    let dir = dir.to_str().unwrap();
    let made = automagik.json(&["db", "backup", dir]).await;
    assert_eq!(made["backup"]["events"], automagik.stored_events(), "{made}");
    automagik.ends(7, &["db", "backup", dir]).await.says(&["not empty"]);
    automagik.ok(&["schedule", "delete", "greet", "--yes"]).await;

    let mut other = Automagik::new();
    other.ok(&["db", "restore", dir, "--dry-run"]).await;
    other.ok(&["db", "restore", dir]).await;
    other.up().await;
    let schedules = other.rows(&["schedule", "list"]).await;
    assert_eq!(schedules.len(), 1, "as it was at the backup");
    assert_eq!(schedules[0]["name"], "greet");
    assert_eq!(other.rows(&["task", "list"]).await.len(), 1);
    other.ends(7, &["db", "restore", dir, "--force"]).await.says(&["a server runs over"]);
    other.sigterm().await;
    other.ends(7, &["db", "restore", dir]).await.says(&["there is an event log", "--force"]);
    let restored = other.json(&["db", "restore", dir, "--force"]).await;
    let aside = restored["moved_to"].as_str().unwrap();
    assert!(fs::exists(format!("{aside}/events.db")).unwrap(), "nothing is lost: {restored}");
    other.ok(&["db", "upgrade"]).await;
    other.ok(&["log", "verify"]).await;

    let mut log = fs::read(format!("{dir}/events.db")).unwrap();
    let middle = log.len() / 2;
    log[middle] ^= 1;
    fs::write(format!("{dir}/events.db"), log).unwrap();
    let refused = other.ends(1, &["db", "restore", dir, "--force"]).await;
    refused.says(&["is no backup", "events.db is not what backup.json says"]);
}

#[tokio::test]
async fn a_log_is_listed_followed_exported_and_checked() {
    let mut automagik = filled().await;
    let head: i64 = automagik.ok(&["log", "head"]).await.parse().unwrap();
    assert_eq!(head, automagik.stored_events());
    let newest = automagik.rows(&["log", "list", "--limit", "2"]).await;
    assert_eq!(newest[0]["position"], head);
    let of_schedule = automagik.rows(&["log", "list", "--schedule", "greet"]).await;
    assert_eq!(of_schedule[0]["type"], "schedule.created");
    let exported = automagik.ok(&["log", "export"]).await;
    assert_eq!(exported.lines().count() as i64, head);
    automagik.ends(6, &["log", "show", "99999"]).await.says(&["automagik log list"]);
    let checked = automagik.json(&["log", "verify"]).await;
    assert_eq!((&checked["ok"], &checked["events"]), (&true.into(), &head.into()), "{checked}");
    automagik.ends(2, &["log", "verify", "--server", "http://10.0.0.1"]).await;
    automagik.sigterm().await;

    // What no program of ours does.
    let log = rusqlite::Connection::open(automagik.home().join("events.db")).unwrap();
    log.execute_batch(
        "DROP TRIGGER events_are_not_updated;
         UPDATE events SET data = '{}' WHERE position = 2;
         UPDATE events SET revision = 7 WHERE position = 3;",
    )
    .unwrap();
    drop(log);
    let found = automagik.ends(3, &["log", "verify"]).await;
    assert!(found.stdout.contains("source.added cannot be read"), "{found}");
    assert!(found.stdout.contains("revision 7 stands where 0 is due"), "{found}");
    found.says(&["restore a backup"]);
}

#[tokio::test]
async fn clearing_needs_a_word_and_no_server() {
    let mut automagik = filled().await;
    automagik
        .ends(7, &["db", "clear", "--yes"])
        .await
        .says(&["a server runs over", "stop it: kill"]);
    automagik.sigterm().await;
    automagik.ends(2, &["db", "clear"]).await.says(&["--yes"]);
    let key = fs::read_to_string(automagik.home().join("api-key")).unwrap();
    automagik.ok(&["db", "clear", "--dry-run"]).await;
    assert!(automagik.home().join("events.db").exists());
    automagik.ok(&["db", "clear", "--yes"]).await;
    assert!(!automagik.home().join("events.db").exists());
    automagik.ok(&["db", "init"]).await;
    automagik.up().await;
    assert_eq!(automagik.rows(&["source", "list"]).await.len(), 0);
    assert_eq!(fs::read_to_string(automagik.home().join("api-key")).unwrap(), key);
}
