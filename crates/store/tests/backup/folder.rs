//! The files of backups: what is refused, kept and removed.

use std::fs::{File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use bookingq_core::QueueName;
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::backup::{self, BackupError, FoundBackup};
use bookingq_store::redis::RedisConfig;

use crate::place::{Place, names};
use crate::{join, opened, support, take};

/// A backup `one.rdb` of a queue with one booking.
pub async fn small(place: &Place) -> (RedisServer, RedisConfig, FoundBackup) {
    let server = RedisServer::start(Fsync::Off).unwrap();
    let config = support::config(&server);
    let (store, _) = opened(server.url(), &config).await;
    join(&store, "a").await;
    let taken = take(&config, &place.at("one.rdb").await).await.unwrap();
    (server, config, taken)
}

#[tokio::test]
async fn a_restore_overwrites_nothing_and_takes_no_damaged_or_other_backup() {
    for place in Place::both().await {
        overwrites_nothing(&place).await;
    }
}

async fn overwrites_nothing(place: &Place) {
    let (_server, config, taken) = small(place).await;
    let (folder, rdb) = (tempfile::tempdir().unwrap(), place.file("one.rdb"));
    let other = QueueName::new("other").unwrap();
    let data = folder.path().join("data");
    let refused = backup::restore(&taken.rdb, &data, Some(&other)).await.unwrap_err();
    assert!(matches!(refused, BackupError::OtherQueue { .. }), "{refused}");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("dump.rdb"), "").unwrap();
    let refused = backup::restore(&taken.rdb, &data, None).await.unwrap_err();
    assert!(matches!(&refused, BackupError::Occupied { found, .. } if found == "dump.rdb"));
    std::fs::remove_file(data.join("dump.rdb")).unwrap();
    std::fs::create_dir(data.join("lost+found")).unwrap();

    let whole = std::fs::read(&rdb).unwrap();
    for (damaged, what) in [
        (whole[..whole.len() - 1].to_vec(), "bytes"),
        ([&whole[..20], b"?", &whole[21..]].concat(), "SHA-256"),
    ] {
        std::fs::write(&rdb, damaged).unwrap();
        for refused in [
            backup::verify(&taken.rdb).await.unwrap_err(),
            backup::restore(&taken.rdb, &data, None).await.unwrap_err(),
        ] {
            assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
            assert!(refused.to_string().contains(what), "{refused}");
        }
        assert!(!data.join("appendonlydir").exists());
    }
    // What the refused ones have begun is in no one's way.
    std::fs::write(&rdb, whole).unwrap();
    backup::restore(&taken.rdb, &data, Some(&config.queue)).await.unwrap();
    assert_eq!(names(&data), ["appendonlydir", "lost+found"]);
    // Another backup of the same queue.
    let later = take(&config, &place.at("two.rdb").await).await.unwrap();
    let mut description = later.description.clone();
    description.taken_at = later.description.taken_at + Duration::from_secs(60);
    std::fs::write(place.file("two.json"), serde_json::to_vec(&description).unwrap()).unwrap();
    let refused = backup::restore(&later.rdb, &data, None).await.unwrap_err();
    assert!(matches!(refused, BackupError::RestoredBefore { .. }), "{refused}");
}

#[tokio::test]
async fn the_newest_backups_of_a_queue_are_kept_and_others_are_left_alone() {
    for place in Place::both().await {
        keeps_the_newest(&place).await;
    }
}

async fn keeps_the_newest(place: &Place) {
    let (server, config, first) = small(place).await;
    let other = support::config(&server);
    opened(server.url(), &other).await;
    let of_other = take(&other, &place.at("other.rdb").await).await.unwrap();
    std::fs::write(place.file("notes.txt"), "").unwrap();
    std::fs::write(place.file("broken.json"), "{}").unwrap();
    let mut taken = vec![first];
    for n in 1..4_u64 {
        let next = take(&config, &place.at(&format!("{n}.rdb")).await).await.unwrap();
        // All of them are of the same second otherwise.
        let mut description = next.description.clone();
        description.taken_at += Duration::from_secs(60 * n);
        let text = serde_json::to_vec(&description).unwrap();
        std::fs::write(place.file(&format!("{n}.json")), text).unwrap();
        taken.push(FoundBackup { description, ..next });
    }
    let removed = backup::keep(&taken[3], 2).await.unwrap();
    assert_eq!(removed, [taken[1].rdb.clone(), taken[0].rdb.clone()]);
    let (found, unread) = backup::list(&place.all).await.unwrap();
    assert_eq!(found, [taken[3].clone(), taken[2].clone(), of_other]);
    assert!(unread[0].to_string().contains("broken.json"), "{unread:?}");
    assert_eq!(place.names().len(), 2 * 3 + 2, "{:?}", place.names());
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_and_leaves_nothing() {
    for place in Place::both().await {
        leaves_nothing(&place).await;
    }
}

async fn leaves_nothing(place: &Place) {
    let (server, config, taken) = small(place).await;
    let before = place.names();
    let refused = take(&config, &taken.rdb).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, BackupError::Exists(_)), "an existing file stays: {text}");
    assert!(text.contains("one.rdb"), "{text}");
    // The description alone is enough.
    let without_data = place.at("broken.rdb").await;
    std::fs::write(place.file("broken.json"), "{}").unwrap();
    let refused = take(&config, &without_data).await.unwrap_err();
    assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
    std::fs::remove_file(place.file("broken.json")).unwrap();
    let none = take(&support::config(&server), &place.all).await.unwrap_err();
    assert!(matches!(none, BackupError::NoData(_)), "{none}");
    let url = format!("{}/3", server.url());
    let other = take(&RedisConfig { url, ..config.clone() }, &place.all).await.unwrap_err();
    assert!(matches!(other, BackupError::OtherDatabase(3)), "{other}");
    let name = backup::verify(&place.at("one.dump").await).await.unwrap_err();
    assert!(matches!(name, BackupError::Name(_)), "{name}");
    server.cli(&["ACL", "SETUSER", "shy", "on", ">p", "~*", "+@all", "-info"]).unwrap();
    let url = server.url().replace("://", "://shy:p@");
    let shy = RedisConfig { url, ..config.clone() };
    let of_shy = take(&shy, &place.at("shy.rdb").await).await.unwrap();
    assert_eq!(of_shy.description.server, "redis of an unknown version");
    for name in ["shy.rdb", "shy.json"] {
        std::fs::remove_file(place.file(name)).unwrap();
    }
    server.cli(&["ACL", "SETUSER", "few", "on", ">p", "~*", "+@all", "-psync"]).unwrap();
    let url = server.url().replace("://", "://few:p@");
    let refused = take(&RedisConfig { url, ..config.clone() }, &place.all).await.unwrap_err();
    assert!(matches!(refused, BackupError::Refused { command: "PSYNC", .. }), "{refused}");
    assert_eq!(place.names(), before);
    assert_eq!(place.unfinished(), 0);
}

#[tokio::test]
async fn the_name_of_a_file_ends_with_rdb_where_there_are_folders() {
    let place = Place::folder();
    let (_server, config, _) = small(&place).await;
    let name = take(&config, &place.at("one.dump").await).await.unwrap_err();
    assert!(matches!(name, BackupError::Name(_)), "{name}");
}

fn begun(path: &Path, age: Duration) {
    let file = File::create(path).unwrap();
    file.set_times(FileTimes::new().set_modified(SystemTime::now() - age)).unwrap();
}

#[tokio::test]
async fn what_a_killed_process_left_a_day_ago_is_removed_by_the_next_backup() {
    let place = Place::folder();
    let (_server, config, _) = small(&place).await;
    let name = |rest| place.file(&format!("{}-{rest}", config.queue));
    begun(&name("1.rdb.x.part"), Duration::from_hours(25));
    begun(&name("2.rdb.x.part"), Duration::from_hours(23));
    begun(&name("3.rdb"), Duration::from_hours(25));
    begun(&place.file("other-1.rdb.x.part"), Duration::from_hours(25));
    let before = place.names();
    take(&config, &place.at("two.rdb").await).await.unwrap();
    let left: Vec<_> = before.into_iter().filter(|name| !place.names().contains(name)).collect();
    assert_eq!(left, [format!("{}-1.rdb.x.part", config.queue)]);
}
