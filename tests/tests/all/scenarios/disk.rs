//! A full disk: commands are refused with the reason, nothing acknowledged is lost, and with room
//! again all goes on. Needs the right to mount; says so where it has none.

use std::path::PathBuf;
use std::process::Command;

use spark_tests::binary::{Automagik, PATIENCE};
use spark_tests::target::Target;
use spark_tests::{eventually, report};

use super::steps::{add_source, shown, text};

/// A small file system in memory. Dropping it takes it away.
struct SmallDisk {
    at: PathBuf,
    _folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().join("disk");
        std::fs::create_dir(&at).expect("a folder of ours");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(&at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self { at, _folder: folder })
    }

    /// Fills it up to the last byte; gives the file to delete.
    fn fill(&self) -> PathBuf {
        let path = self.at.join("filler");
        let mut file = std::fs::File::create(&path).expect("a file of ours");
        // Ever smaller pieces, until not one byte more fits.
        for size in [1 << 20, 1 << 12, 1] {
            let piece = vec![b'x'; size];
            while std::io::Write::write_all(&mut file, &piece).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because the killed server may hold a file for a moment more.
        let unmounted = Command::new("umount").arg("-l").arg(&self.at).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            report(&format!("{} stays mounted", self.at.display()));
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_commands_with_the_reason_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        report(
            "skipped: a full disk needs a file system of its own, and mounting one is not permitted here",
        );
        return;
    };
    let target = Target::start_fake().await;
    let mut automagik = Automagik::over(disk.at.join("data"));
    automagik.up().await;
    add_source(&automagik, &target, target.key()).await;
    automagik.ok(&["flow", "sync", "e2e-echo"]).await;
    automagik.ok(&["flow", "run", "e2e-echo", "--input", "before", "--wait"]).await;
    let filler = disk.fill();
    // What the write-ahead log has room for already may still be taken.
    let input = "x".repeat(20_000);
    let (refused, taken) = refused_in_the_end(&automagik, &input).await;
    assert_eq!(refused.status, 503);
    let problem = refused.json();
    assert_eq!(text(&problem, "code"), "SPK-5002");
    assert!(text(&problem, "detail").contains("full"), "{problem}");
    let said = automagik.ends(1, &["flow", "run", "e2e-echo", "--input", &input]).await;
    said.says(&["full", "next: "]);
    std::fs::remove_file(filler).expect("a file of ours");
    eventually(PATIENCE, || async {
        let run = automagik.run(&["flow", "run", "e2e-echo", "--input", "after", "--wait"]).await;
        (run.code == 0 && run.stdout.trim() == "after").then_some(())
    })
    .await;
    for task in taken {
        automagik.ok(&["task", "wait", &task]).await;
        assert_eq!(text(&shown(&automagik, &task).await, "status"), "completed");
    }
    automagik.ok(&["status"]).await;
    assert_eq!(automagik.sigterm().await, 0);
    automagik.up().await;
    automagik.ok(&["status"]).await;
}

/// Sends runs until one is refused; gives the refusal, and the ids of those that were taken.
async fn refused_in_the_end(
    automagik: &Automagik,
    input: &str,
) -> (spark_tests::plain_http::Answer, Vec<String>) {
    let body = serde_json::json!({ "input": input }).to_string();
    let mut taken = Vec::new();
    for _ in 0..2_000 {
        let answer = automagik.http("POST", "/api/v1/flows/e2e-echo/run", body.clone()).await;
        if answer.status != 201 {
            return (answer, taken);
        }
        taken.push(text(&answer.json(), "id"));
    }
    panic!("the disk is full, and yet {} runs were taken", taken.len());
}
