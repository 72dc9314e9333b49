//! The ConfigMap of the gateways: the file of `bookingq gateway --config`.

use std::collections::BTreeMap;

use bookingq_api::Problems;
use bookingq_api::gateway_file::{BrandFile, GatewayFile, GatewayQueueFile, ItemFile};
use bookingq_api::plan::GatewayPlan;
use k8s_openapi::api::core::v1::ConfigMap;

use super::wanted;
use crate::build::names::{self, Part};
use crate::target::{QueueTarget, problem};

/// Key of the file.
pub const FILE: &str = "gateway.yaml";

/// The ConfigMap.
///
/// # Errors
/// [`Problems`] if the settings cannot be written as YAML.
pub fn build(target: &QueueTarget) -> Result<Option<ConfigMap>, Problems> {
    let Some(gateway) = wanted(target) else { return Ok(None) };
    let text = text(target, gateway)?;
    Ok(Some(ConfigMap {
        metadata: target.metadata(names::gateway(&target.name), Part::Gateway),
        data: Some(BTreeMap::from([(FILE.to_owned(), text)])),
        ..ConfigMap::default()
    }))
}

/// The file.
///
/// # Errors
/// As [`build`].
pub fn text(target: &QueueTarget, gateway: &GatewayPlan) -> Result<String, Problems> {
    let file = GatewayFile { queues: vec![queue(target, gateway)] };
    serde_saphyr::to_string(&file).map_err(|error| {
        Problems(vec![problem("spec.gateway", error.to_string(), "texts that YAML can contain")])
    })
}

fn queue(target: &QueueTarget, gateway: &GatewayPlan) -> GatewayQueueFile {
    let spec = &gateway.spec;
    let items = gateway.items.iter().map(|item| ItemFile {
        name: item.name.clone(),
        title: item.title.clone(),
        max_quantity: Some(item.max_quantity),
    });
    GatewayQueueFile {
        name: target.plan.queue.to_string(),
        hibernates: target.plan.hibernate,
        workers: None,
        title: spec.brand.title.clone(),
        audience: spec.audience.clone(),
        origins: spec.origins.clone(),
        return_origins: spec.return_origins.clone(),
        return_url: spec.return_url.clone(),
        items: items.collect(),
        brand: BrandFile {
            logo: spec.brand.logo.clone(),
            color: spec.brand.color.clone(),
            text: spec.brand.text.clone(),
            home: spec.brand.home.clone(),
        },
    }
}
