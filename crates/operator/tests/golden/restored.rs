//! The objects of a queue that starts with a backup.

use serde_json::{Value, json};

use crate::{check, queue, secret};
use bookingq_operator::target::QueueTarget;

fn spec(file: &str, replicas: i32) -> Value {
    let volume = json!({ "claimName": "backups" });
    restored(&json!({ "persistentVolumeClaim": volume, "file": file }), replicas)
}

fn restored(source: &Value, replicas: i32) -> Value {
    json!({
        "booking": { "endpoint": "http://booking:1" },
        "redis": { "managed": { "restoreFrom": source, "replicas": replicas } },
        "worker": { "podTemplate": { "spec": { "imagePullSecrets": [{ "name": "registry" }] } } },
    })
}

#[test]
fn an_init_container_fills_the_volume_before_redis_starts() {
    let spec = spec("old/concert-20261130T230000Z.rdb", 1);
    let objects = check("restored", &spec, &[secret("concert-redis", &["password"])]);
    let set = objects.iter().find(|object| object.kind.name == "StatefulSet").unwrap();
    let pod = &set.value["spec"]["template"]["spec"];
    let restore = &pod["initContainers"][0];
    let arguments = [
        "backup",
        "restore",
        "/backups/old/concert-20261130T230000Z.rdb",
        "--data=/data",
        "--queue=concert",
    ];
    assert_eq!(restore["args"], json!(arguments));
    let mounts = &restore["volumeMounts"];
    assert_eq!(mounts[0]["mountPath"], pod["containers"][0]["volumeMounts"][0]["mountPath"]);
    assert_eq!(mounts[1]["readOnly"], true);
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"], json!({ "claimName": "backups" }));
    assert_eq!(restore["securityContext"], pod["containers"][0]["securityContext"]);
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "registry" }]), "it has our image");
}

#[test]
fn a_backup_in_a_bucket_is_read_with_its_secret_and_redis_may_connect_to_it() {
    let bucket = json!({ "url": "s3://sale", "secretName": "s3" });
    let spec = restored(&json!({ "s3": bucket, "file": "concert.rdb" }), 1);
    let objects = check("restored-bucket", &spec, &[secret("concert-redis", &["password"])]);
    let found = |kind: &str, component: &str| {
        let is_it =
            |value: &Value| value["metadata"]["labels"]["app.kubernetes.io/component"] == component;
        let mut objects = objects.iter().filter(|object| object.kind.name == kind);
        objects.find(|object| is_it(&object.value)).unwrap().value.clone()
    };
    let pod = &found("StatefulSet", "redis")["spec"]["template"]["spec"];
    let restore = &pod["initContainers"][0];
    assert_eq!(restore["args"][2], "s3://sale/concert.rdb");
    let key = json!({ "name": "s3", "key": "AWS_SECRET_ACCESS_KEY" });
    assert_eq!(restore["env"][1]["valueFrom"]["secretKeyRef"], key);
    assert!(pod["containers"][0]["env"].to_string().find("AWS").is_none(), "Redis has no keys");
    assert_eq!(found("NetworkPolicy", "redis")["spec"]["egress"], json!([{}]), "to everywhere");
}

#[test]
fn a_path_outside_of_the_volume_two_places_and_a_restore_into_three_pods_are_refused() {
    let volume = json!({ "claimName": "c" });
    let bucket = json!({ "url": "s3://sale", "secretName": "s3" });
    let both = json!({ "persistentVolumeClaim": volume, "s3": bucket, "file": "concert.rdb" });
    for source in [both, json!({ "file": "concert.rdb" })] {
        let problems = QueueTarget::resolve(&queue("concert", &restored(&source, 1))).unwrap_err();
        assert_eq!(problems.0[0].path, "spec.redis.managed.restoreFrom", "{source}");
    }
    for file in ["../concert.rdb", "/concert.rdb", "a/.b/c.rdb", "concert.dump", ".rdb", "a//b.rdb"]
    {
        let problems = QueueTarget::resolve(&queue("concert", &spec(file, 1))).unwrap_err();
        assert_eq!(problems.0[0].path, "spec.redis.managed.restoreFrom.file", "{file}");
    }
    let problems = QueueTarget::resolve(&queue("concert", &spec("concert.rdb", 3))).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "spec.redis.managed.restoreFrom is set; allowed: absent with replicas: 3; restore with 1, \
         then ask for 3"
    );
}
