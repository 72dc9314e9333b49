//! A managed Redis of three: its objects, the way from one and back, and the record of elections.

use bookingq_harness::wait::eventually;
use bookingq_operator::leader_fence::LeaderFence;
use bookingq_operator::redis_failover::cluster::ClusterSurroundings;
use bookingq_operator::redis_failover::surroundings::FailoverSurroundings as _;
use bookingq_operator::redis_failover::view::PrimaryRecord;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::budget::Budget;
use crate::cluster::LIMIT;
use crate::testbed::Testbed;

fn replicas(number: i32) -> Value {
    json!({ "redis": { "managed": { "replicas": number } } })
}

impl Testbed {
    fn surroundings(&self, uid: &str) -> ClusterSurroundings {
        let fence = LeaderFence::default();
        ClusterSurroundings::new(self.client.clone(), fence, &self.namespace, "concert", uid)
    }

    /// Waits until the StatefulSet starts its Pods in this order.
    async fn until_policy(&self, policy: &str) -> StatefulSet {
        let mut set = None;
        eventually(policy, LIMIT, async || {
            set = self.find::<StatefulSet>("concert-redis").await;
            let spec = set.as_ref().and_then(|set| set.spec.as_ref());
            spec.and_then(|spec| spec.pod_management_policy.as_deref()) == Some(policy)
        })
        .await;
        set.unwrap()
    }

    /// A Pod and a volume of the StatefulSet, as its controller makes them.
    async fn pod_of(&self, set: &StatefulSet) {
        let metadata = |name: &str| {
            json!({
                "name": name,
                "labels": { "app.kubernetes.io/instance": "concert" },
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "concert-redis",
                    "uid": set.uid().unwrap(), "controller": true,
                }],
            })
        };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": metadata("concert-redis-0"),
            "spec": { "containers": [{ "name": "redis", "image": "redis:7.4" }] },
        }))
        .unwrap();
        self.api().create(&PostParams::default(), &pod).await.unwrap();
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": metadata("data-concert-redis-0"),
            "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
            },
        }))
        .unwrap();
        self.api().create(&PostParams::default(), &claim).await.unwrap();
    }

    /// Whether the Pod and the volume exist, and belong to no StatefulSet that is gone.
    async fn kept(&self, gone: &str) -> bool {
        let pod: Pod = self.find("concert-redis-0").await.unwrap();
        let claim: PersistentVolumeClaim = self.find("data-concert-redis-0").await.unwrap();
        let metas = [&pod.metadata, &claim.metadata];
        assert!(metas.iter().all(|meta| meta.deletion_timestamp.is_none()), "being deleted");
        metas
            .iter()
            .all(|meta| meta.owner_references.iter().flatten().all(|owner| owner.uid != gone))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_of_one_becomes_one_of_three_and_back_with_its_pod_and_its_volume() {
    let testbed = Testbed::new("three").await;
    let operator = testbed.operator(Budget::unlimited());
    testbed.create(json!({})).await;
    let one = testbed.until_policy("OrderedReady").await;
    testbed.pod_of(&one).await;

    testbed.change(replicas(3)).await.unwrap();
    let three = testbed.until_policy("Parallel").await;
    let spec = three.spec.clone().unwrap();
    assert_eq!(
        (spec.replicas, spec.update_strategy.unwrap().type_.as_deref()),
        (Some(3), Some("OnDelete"))
    );
    eventually("Pod and volume to be left", LIMIT, async || {
        testbed.kept(&one.uid().unwrap()).await
    })
    .await;
    eventually("the budget", LIMIT, async || {
        testbed.find::<PodDisruptionBudget>("concert-redis").await.is_some()
    })
    .await;
    // No node answers here.
    testbed.until_condition("RedisReady", "False", "AwaitingNodes").await;

    testbed.change(replicas(1)).await.unwrap();
    let back = testbed.until_policy("OrderedReady").await;
    assert_eq!(back.spec.unwrap().replicas, Some(1));
    eventually("Pod and volume to be left", LIMIT, async || {
        testbed.kept(&three.uid().unwrap()).await
    })
    .await;
    operator.stop().await;
}

/// Replaces the record. The operator may write the status between reading and writing it.
async fn written(
    surroundings: &mut ClusterSurroundings,
    old: Option<PrimaryRecord>,
    new: Option<PrimaryRecord>,
) {
    eventually("the record to be written", LIMIT, async || {
        surroundings.replace_record(old, new).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_replaced_by_who_knows_it_and_kept_by_every_other_write() {
    let testbed = Testbed::new("record").await;
    let operator = testbed.operator(Budget::unlimited());
    let queue = testbed.create(replicas(3)).await;
    let uid = queue.uid().unwrap();
    testbed.until_condition("RedisReady", "False", "AwaitingNodes").await;
    let (mut first, mut second) = (testbed.surroundings(&uid), testbed.surroundings(&uid));
    assert_eq!(first.read_record().await.unwrap(), None);
    let one = PrimaryRecord { term: 1, primary: 0, copies: 0 };
    let two = PrimaryRecord { term: 2, primary: 2, copies: 1 };
    written(&mut first, None, Some(one)).await;
    assert!(!second.replace_record(None, Some(two)).await.unwrap(), "it knows no record");
    written(&mut second, Some(one), Some(two)).await;
    assert!(!first.replace_record(Some(one), None).await.unwrap(), "it knows an old record");

    // The status that the operator writes leaves the record.
    testbed.change(json!({ "booking": { "timeout": "4s" } })).await.unwrap();
    eventually("a status of the new spec", LIMIT, async || {
        testbed.queue().await.status.unwrap().observed_generation == Some(2)
    })
    .await;
    assert_eq!(first.read_record().await.unwrap(), Some(two));

    // One node less: three stay until the first one is the primary.
    testbed.change(replicas(1)).await.unwrap();
    operator.rests().await;
    let set: StatefulSet = testbed.find("concert-redis").await.unwrap();
    assert_eq!(set.spec.unwrap().replicas, Some(3));
    written(&mut first, Some(two), None).await;
    testbed.until_policy("OrderedReady").await;

    let broken = json!({ "status": { "redis": { "term": 3, "primary": "other-redis-0" } } });
    let queues = testbed.api::<bookingq_api::BookingQueue>();
    queues.patch_status("concert", &PatchParams::default(), &Patch::Merge(broken)).await.unwrap();
    let error = first.read_record().await.unwrap_err().to_string();
    assert!(error.contains("\"other-redis-0\""), "{error}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_wait_for_replicas_only_once_these_have_copied_the_data() {
    let testbed = Testbed::new("copies").await;
    let operator = testbed.operator(Budget::unlimited());
    let queue = testbed.create(json!({})).await;
    testbed.until_policy("OrderedReady").await;
    testbed.change(replicas(3)).await.unwrap();
    testbed.until_policy("Parallel").await;
    let nodes = |number: usize| {
        let host =
            |node| format!("concert-redis-{node}.concert-redis.{}.svc:6379", testbed.namespace);
        let hosts: Vec<_> = (0..number).map(host).collect();
        hosts.join(",")
    };
    let waited_for = async || {
        let workers = serde_json::to_value(testbed.deployment().await).unwrap();
        let worker = &workers["spec"]["template"]["spec"]["containers"][0];
        let args = worker["args"].as_array().unwrap().iter().filter_map(Value::as_str);
        let found = args.filter_map(|arg| arg.strip_prefix("--redis-acknowledge-replicas="));
        let knows_three = worker["env"].to_string().contains(&nodes(3));
        (knows_three, found.map(str::to_owned).next())
    };
    eventually("workers that know three Pods", LIMIT, async || waited_for().await.0).await;
    assert_eq!(waited_for().await.1, None, "no replica has the data");

    let mut surroundings = testbed.surroundings(&queue.uid().unwrap());
    let elected = PrimaryRecord { term: 1, primary: 0, copies: 0 };
    written(&mut surroundings, None, Some(elected)).await;
    operator.rests().await;
    assert_eq!(waited_for().await, (true, None), "no replica has the data on disk");
    for copies in [1, 2] {
        let copied = PrimaryRecord { copies, ..elected };
        let before = PrimaryRecord { copies: copies - 1, ..elected };
        written(&mut surroundings, Some(before), Some(copied)).await;
        testbed.until_argument("--redis-acknowledge-replicas=1").await;
    }
    testbed.change(json!({ "redis": { "acknowledge": { "replicas": 2 } } })).await.unwrap();
    testbed.until_argument("--redis-acknowledge-replicas=2").await;

    // Back to one: workers wait for none, while three Pods stay until the first one leads.
    testbed
        .change(json!({ "redis": { "acknowledge": null, "managed": { "replicas": 1 } } }))
        .await
        .unwrap();
    eventually("workers that wait for none", LIMIT, async || waited_for().await == (true, None))
        .await;
    let set: StatefulSet = testbed.find("concert-redis").await.unwrap();
    assert_eq!(set.spec.unwrap().replicas, Some(3));
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_queue_of_three_starts_its_workers_once() {
    let testbed = Testbed::new("once").await;
    let operator = testbed.operator(Budget::unlimited());
    let queue = testbed.create(replicas(3)).await;
    testbed.until_argument("--redis-acknowledge-replicas=1").await;
    let template = async || {
        let workers = testbed.deployment().await.unwrap();
        serde_json::to_value(workers.spec.unwrap().template).unwrap()
    };
    let first = template().await;
    let mut surroundings = testbed.surroundings(&queue.uid().unwrap());
    let mut before = None;
    for copies in [0, 1, 2] {
        let record = PrimaryRecord { term: 1, primary: 0, copies };
        written(&mut surroundings, before, Some(record)).await;
        before = Some(record);
        operator.rests().await;
        assert_eq!(template().await, first, "{copies} copies");
    }
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_refuses_two_redis_pods_and_three_that_sync_each_second() {
    let testbed = Testbed::new("refused").await;
    testbed.create(json!({})).await;
    assert!(testbed.change(replicas(2)).await.is_err());
    let everysec = json!({ "redis": { "managed": { "replicas": 3, "appendfsync": "everysec" } } });
    let refused = testbed.change(everysec).await.unwrap_err().to_string();
    assert!(refused.contains("appendfsync must be always"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_to_start_with_is_for_a_new_queue_of_one_redis_pod() {
    let testbed = Testbed::new("restored").await;
    let operator = testbed.operator(Budget::unlimited());
    let from = |file: &str| {
        let source = json!({ "persistentVolumeClaim": { "claimName": "b" }, "file": file });
        json!({ "redis": { "managed": { "restoreFrom": source } } })
    };
    testbed.create(from("a.rdb")).await;
    let restores = async || {
        let set: Option<StatefulSet> = testbed.find("concert-redis").await;
        set.and_then(|set| set.spec?.template.spec?.init_containers).map(|all| all.len())
    };
    eventually("an init container", LIMIT, async || restores().await == Some(1)).await;
    let bucket = json!({ "url": "s3://sale/backups", "secretName": "s3" });
    let two_places = json!({ "redis": { "managed": { "restoreFrom": { "s3": bucket } } } });
    for (change, why) in [
        (replicas(3), "with restoreFrom, replicas must be 1"),
        (from("b.rdb"), "can be removed, and neither added nor changed"),
        (from("../b.rdb"), "should match"),
        (two_places, "give exactly one of persistentVolumeClaim and s3"),
    ] {
        let refused = testbed.change(change).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    testbed.change(json!({ "redis": null })).await.unwrap();
    eventually("no init container", LIMIT, async || restores().await.is_none()).await;
    let refused = testbed.change(from("a.rdb")).await.unwrap_err().to_string();
    assert!(refused.contains("neither added nor changed"), "{refused}");
    testbed.change(replicas(3)).await.unwrap();
    operator.stop().await;
}
