//! What is different in a bucket: parts, networks, refusals.

use std::time::{Duration, Instant};

use bookingq_harness::port::free_address;
use bookingq_harness::{Fsync, RedisServer};
use bookingq_store::backup::{self, BackupError, BackupLocation};
use bookingq_store::redis::RedisConfig;
use bookingq_store::s3::{S3Fault, S3Settings, S3SettingsError};
use tokio::net::TcpListener;

use crate::certificates::Files;
use crate::cut_proxy::{CutProxy, Loss};
use crate::folder::small;
use crate::place::{BUCKET, Place, located, server, settings};
use crate::support::config;
use crate::{join, opened, take};

/// Enough for a call that is not lost.
const SILENCE: Duration = Duration::from_secs(3);

/// A queue whose Redis has 40 MiB besides: three parts.
async fn large() -> (RedisServer, RedisConfig) {
    let redis = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&redis);
    let (store, _) = opened(redis.url(), &config).await;
    join(&store, "a").await;
    redis.cli(&["CONFIG", "SET", "rdbcompression", "no"]).unwrap();
    let fill = "for n=1,40 do redis.call('SET', 'more:'..n, string.rep('x', 1048576)) end";
    redis.cli(&["EVAL", fill, "0"]).unwrap();
    (redis, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_several_parts_is_whole_though_connections_are_lost() {
    let Some(s3) = server(None) else { return };
    let (_redis, config) = large().await;
    for (name, loss) in [("cut", Loss::Cut), ("stalled", Loss::Stall)] {
        let name = format!("s3://{BUCKET}/{name}.rdb");
        // In the middle of the second part, and of the data.
        let lossy = async || {
            let proxy = CutProxy::start(s3.address(), 20 << 20, loss).await;
            let settings = S3Settings { silence: SILENCE, ..settings(&proxy.url()) };
            let location = located(&name, &settings).await;
            (proxy, location)
        };
        let (proxy, to) = lossy().await;
        let taken = take(&config, &to).await.unwrap();
        assert!(proxy.connections() > 1, "{loss:?}");
        assert!(taken.description.bytes > 40 << 20, "{:?}", taken.description);
        let (proxy, from) = lossy().await;
        assert_eq!(backup::verify(&from).await.unwrap(), taken.description);
        assert!(proxy.connections() > 1, "{loss:?}");
    }
    assert_eq!(s3.uploads(BUCKET).unwrap().len(), 0);
}

/// The text of an error, which never has the secret.
fn said(error: &BackupError) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("secret"), "{text}");
    text
}

#[tokio::test]
async fn a_refusal_names_the_bucket_the_server_and_the_code_of_s3() {
    let Some(s3) = server(None) else { return };
    let redis = RedisServer::start(Fsync::Off).unwrap();
    let config = config(&redis);
    let (store, _) = opened(redis.url(), &config).await;
    join(&store, "a").await;
    let right = settings(&s3.url());
    let mut wrong_key = right.clone();
    wrong_key.credentials.secret_key = "another secret".to_owned();
    for (bucket, settings, code) in
        [(BUCKET, wrong_key, "SignatureDoesNotMatch"), ("none", right.clone(), "NoSuchBucket")]
    {
        let folder = located(&format!("s3://{bucket}/a"), &settings).await;
        for refused in
            [take(&config, &folder).await.unwrap_err(), backup::list(&folder).await.unwrap_err()]
        {
            let text = said(&refused);
            for part in [code, &s3.url(), &format!("s3://{bucket}/a")] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
    let missing = located(&format!("s3://{BUCKET}/none.rdb"), &right).await;
    let missing = said(&backup::verify(&missing).await.unwrap_err());
    assert!(missing.contains("NoSuchKey") && missing.contains("none.json"), "{missing}");
}

#[tokio::test]
async fn a_server_that_is_away_or_hangs_is_given_up() {
    let silence = Duration::from_millis(500);
    let away = free_address().unwrap();
    let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (address, is_silent) in [(away, false), (hangs.local_addr().unwrap(), true)] {
        let settings = S3Settings { silence, ..settings(&format!("http://{address}")) };
        let folder = located(&format!("s3://{BUCKET}/a"), &settings).await;
        let start = Instant::now();
        let error = backup::list(&folder).await.unwrap_err();
        let took = start.elapsed();
        assert!(took < silence * 6, "{took:?}");
        assert!(said(&error).contains(&address.to_string()), "{error}");
        match error {
            BackupError::S3(error) if is_silent => {
                assert!(matches!(error.fault, S3Fault::Silent(_)), "{error}");
                assert!(took >= silence * 2, "it tries once more: {took:?}");
            }
            BackupError::S3(error) => {
                assert!(matches!(error.fault, S3Fault::Connection(_)), "{error}");
            }
            error => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_restore_in_front_of_each_start_of_redis_needs_the_bucket_once() {
    let Some(place) = Place::bucket().await else { return };
    let (_redis, _config, taken) = small(&place).await;
    let data = tempfile::tempdir().unwrap();
    backup::restore(&taken.rdb, data.path(), None).await.unwrap();
    let silence = Duration::from_millis(100);
    let away = format!("http://{}", free_address().unwrap());
    let away = S3Settings { silence, ..settings(&away) };
    let same = located(&format!("s3://{BUCKET}/x/one.rdb"), &away).await;
    let again = backup::restore(&same, data.path(), None).await.unwrap();
    assert_eq!(again, backup::Restored::Before);
    let other = located(&format!("s3://{BUCKET}/x/two.rdb"), &away).await;
    let refused = backup::restore(&other, data.path(), None).await.unwrap_err();
    assert!(matches!(refused, BackupError::RestoredBefore { .. }), "{refused}");
}

#[tokio::test]
async fn a_server_is_reached_by_tls_and_its_certificate_is_checked() {
    let files = Files::issue("127.0.0.1");
    let (certificate, key) = (files.path("server.crt"), files.path("server.key"));
    let Some(s3) = server(Some((&certificate, &key))) else { return };
    let trusting = S3Settings { ca: Some(files.pem("ca.crt")), ..settings(&s3.url()) };
    let all = located(&format!("s3://{BUCKET}"), &trusting).await;
    assert_eq!(backup::list(&all).await.unwrap().0, []);
    let silence = Duration::from_millis(100);
    let doubting = S3Settings { silence, ..settings(&s3.url()) };
    let all = located(&format!("s3://{BUCKET}/"), &doubting).await;
    let refused = said(&backup::list(&all).await.unwrap_err());
    assert!(refused.contains("certificate"), "{refused}");
}

#[tokio::test]
async fn settings_are_asked_for_only_for_a_bucket_and_its_name_is_checked() {
    let missing = || Err(S3SettingsError::Missing("AWS_ACCESS_KEY_ID"));
    let path = BackupLocation::open("backups/s3:/x.rdb".as_ref(), missing).await.unwrap();
    assert_eq!(path.to_string(), "backups/s3:/x.rdb");
    let refused = BackupLocation::open("s3://sale/x".as_ref(), missing).await.unwrap_err();
    assert!(matches!(refused, BackupError::Bucket(S3SettingsError::Missing(_))), "{refused}");
    for name in ["s3://", "s3:///key", "s3://a?b/key"] {
        let some = || Ok(settings("http://127.0.0.1:1"));
        let refused = BackupLocation::open(name.as_ref(), some).await.unwrap_err();
        assert!(matches!(refused, BackupError::Bucket(S3SettingsError::Bucket(_))), "{refused}");
    }
    // A library in between would take these for other keys.
    for name in ["s3://sale//a", "s3://sale/a//b.rdb", "s3://sale/a/../b.rdb", "s3://sale/a\nb"] {
        let some = || Ok(settings("http://127.0.0.1:1"));
        let refused = BackupLocation::open(name.as_ref(), some).await.unwrap_err();
        assert!(matches!(refused, BackupError::Bucket(S3SettingsError::Key(_))), "{refused}");
    }
    let file = located("s3://sale/a/b.c/one.rdb", &settings("http://127.0.0.1:1")).await;
    assert_eq!(file.with_extension("json").to_string(), "s3://sale/a/b.c/one.json");
    assert_eq!(file.file_name(), "one.rdb");
}
