//! The templates of Pods among the objects of a queue: which of them change by an update, and how
//! an object keeps the one that it has.

use std::sync::Arc;

use serde_json::{Value, json};

use super::change::{LiveTemplate, TemplateChange, template_change};
use super::stamp::TemplateStamp;
use crate::build::Manifest;
use crate::build::names::{self, Part};
use crate::cached_object::CachedObject;
use crate::environment::OperatorEnvironment;
use crate::merge;

/// The templates of a queue.
pub struct Templates(Vec<Template>);

struct Template {
    /// Index of the manifest.
    index: usize,
    /// Where it is in the manifest.
    path: &'static str,
    group: UpdateGroup,
    made: TemplateStamp,
    live: Option<Arc<CachedObject>>,
    change: TemplateChange,
}

/// Parts that run one release: a sweeper of another release than the workers might not read what
/// these write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpdateGroup {
    Workers,
    Gateways,
    Redis,
}

impl UpdateGroup {
    fn as_str(self) -> &'static str {
        match self {
            Self::Workers => "workers and sweepers",
            Self::Gateways => "gateways",
            Self::Redis => "Redis",
        }
    }
}

/// An update of the operator that has not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingUpdate {
    /// Identifies it, in `status.update.pending` and in the annotation.
    pub id: String,
    /// Release and image that run.
    pub from: String,
    /// Release and image that are ready.
    pub to: String,
    /// What it replaces, as words.
    pub parts: String,
}

impl Templates {
    /// Those of `manifests`, compared with the `live` objects.
    pub fn compare(
        manifests: &[Manifest],
        environment: &OperatorEnvironment,
        live: impl Fn(&Manifest) -> Option<Arc<CachedObject>>,
    ) -> Self {
        let found = manifests.iter().enumerate().filter_map(|(index, manifest)| {
            let path = path(manifest)?;
            let template = manifest.value.pointer(path)?;
            let made = TemplateStamp::new(environment, merge::digest(template));
            let live = live(manifest);
            let change = live.as_ref().map_or(TemplateChange::Nothing, |live| {
                let live = shown(live, manifest, path, &made);
                template_change(&live, &made, secrets(template))
            });
            Some(Template { index, path, group: group(manifest)?, made, live, change })
        });
        let mut all: Vec<Template> = found.collect();
        let groups: Vec<_> = all.iter().map(|one| (one.group, one.change)).collect();
        for template in &mut all {
            let of_group = groups.iter().filter(|(group, _)| *group == template.group);
            let most = of_group.map(|(_, change)| *change).max();
            if template.change != TemplateChange::Nothing {
                template.change = most.unwrap_or(template.change);
            }
        }
        Self(all)
    }

    /// The update of the operator, if there is one.
    pub fn pending(&self) -> Option<PendingUpdate> {
        self.of(TemplateChange::Operator)
    }

    /// The update that a change of the input takes with it, if it does.
    pub fn taken(&self) -> Option<PendingUpdate> {
        let is_update = |template: &&Template| {
            let live = template.live.as_ref();
            live.is_some_and(|live| !stamps(live).is_by(&template.made))
        };
        let mut changed = self.0.iter().filter(|one| one.change == TemplateChange::Input);
        changed.find(is_update)?;
        self.of(TemplateChange::Input)
    }

    fn of(&self, change: TemplateChange) -> Option<PendingUpdate> {
        let changed = || self.0.iter().filter(|template| template.change == change);
        let first = changed().next()?;
        let runs = changed().find_map(|template| stamps(template.live.as_ref()?).runs);
        let mut parts: Vec<_> = changed().map(|template| template.group.as_str()).collect();
        parts.dedup();
        // Of all templates, so that it stays while they change one by one.
        let all: Vec<_> = self.0.iter().map(|template| template.made.to_string()).collect();
        Some(PendingUpdate {
            id: merge::digest(&json!(all)),
            from: runs.map_or("an older release".to_owned(), |runs| runs.maker()),
            to: first.made.maker(),
            parts: parts.join(", "),
        })
    }

    /// Writes the stamps into the manifests. With `wait`, what the operator alone changes keeps the
    /// template that it has.
    pub fn write(&self, manifests: &mut [Manifest], wait: bool) {
        for template in &self.0 {
            let Some(manifest) = manifests.get_mut(template.index) else { continue };
            let kept = template
                .live
                .as_ref()
                .filter(|_| wait && template.change == TemplateChange::Operator);
            match kept {
                Some(live) => keep(manifest, template, live),
                None => annotate(manifest, &json!({ names::TEMPLATE: template.made.to_string() })),
            }
        }
    }
}

/// Another writer's change of a template is kept too: what was applied before is no longer known.
fn keep(manifest: &mut Manifest, template: &Template, live: &CachedObject) {
    let tree = live.tree();
    let (Some(kept), Some(place)) =
        (tree.pointer(template.path), manifest.value.pointer_mut(template.path))
    else {
        return;
    };
    place.clone_from(kept);
    let stamps = stamps(live);
    let mut annotations = json!({ names::UPDATE_READY: template.made.to_string() });
    if let Some(runs) = stamps.runs {
        annotations[names::TEMPLATE] = json!(runs.to_string());
    }
    annotate(manifest, &annotations);
}

fn annotate(manifest: &mut Manifest, annotations: &Value) {
    merge::overlay(&mut manifest.value, &json!({ "metadata": { "annotations": annotations } }));
}

/// Where an object has what starts other Pods when it changes.
fn path(manifest: &Manifest) -> Option<&'static str> {
    match manifest.kind.name {
        "Deployment" | "StatefulSet" => Some("/spec/template"),
        "CronJob" => Some("/spec/jobTemplate"),
        // The file that the gateways of a release read.
        "ConfigMap" => Some("/data"),
        _ => None,
    }
}

fn group(manifest: &Manifest) -> Option<UpdateGroup> {
    let label = manifest.value.pointer("/metadata/labels/app.kubernetes.io~1component")?;
    Some(match Part::named(label.as_str()?)? {
        Part::Worker | Part::Sweeper => UpdateGroup::Workers,
        Part::Gateway => UpdateGroup::Gateways,
        Part::Redis => UpdateGroup::Redis,
    })
}

/// The versions of the Secrets in a template.
fn secrets(template: &Value) -> Option<&str> {
    template.pointer("/metadata/annotations/bookingqueue.dev~1secrets")?.as_str()
}

/// The stamps of an object.
struct LiveStamps {
    runs: Option<TemplateStamp>,
    ready: Option<TemplateStamp>,
}

impl LiveStamps {
    fn is_by(&self, made: &TemplateStamp) -> bool {
        self.runs.as_ref().is_some_and(|runs| runs.has_same_maker(made))
    }
}

fn stamps(live: &CachedObject) -> LiveStamps {
    let parse = |text: &Option<Box<str>>| TemplateStamp::parse(text.as_deref()?);
    LiveStamps { runs: parse(&live.template), ready: parse(&live.update_ready) }
}

fn shown(
    live: &CachedObject,
    manifest: &Manifest,
    path: &str,
    made: &TemplateStamp,
) -> LiveTemplate {
    let LiveStamps { runs, ready } = stamps(live);
    let is_as_built = runs.is_none() && {
        let applied = live.applied.as_deref();
        applied == Some(merge::digest(&manifest.value).as_str())
    };
    // The object is read only where that matters: most templates are as they were made.
    let differs = match &runs {
        Some(runs) => runs.digest != made.digest,
        None => !is_as_built,
    };
    let tree = differs.then(|| live.tree());
    let secrets = tree.as_ref().and_then(|tree| tree.pointer(path)).and_then(secrets);
    let secrets = secrets.map(str::to_owned);
    LiveTemplate { runs, ready, is_as_built, secrets }
}
