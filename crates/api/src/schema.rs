//! Schemas of the Kubernetes types in the resource. The `schemars` feature of `k8s-openapi` would
//! compile those of all of Kubernetes, which takes longer than any other dependency of ours.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Of `ResourceRequirements`.
pub fn resources(_: &mut SchemaGenerator) -> Schema {
    let quantities = |description: &str| {
        json_schema!({
            "description": description,
            "type": "object",
            "additionalProperties": { "x-kubernetes-int-or-string": true },
        })
    };
    json_schema!({
        "type": "object",
        "nullable": true,
        "properties": {
            "claims": {
                "description": "Names of resources from the Pod's resourceClaims that the container uses.",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {
                            "description": "Name of an entry in the Pod's resourceClaims.",
                            "type": "string",
                        },
                        "request": {
                            "description": "Request in that claim; all of the claim if empty.",
                            "type": "string",
                        },
                    },
                },
            },
            "limits": quantities("The most that the container may use, by name: cpu, memory."),
            "requests": quantities("What the scheduler sets aside for the container. The limits if left out."),
        },
    })
}

/// Of `Condition`.
pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let text = |description: &str| json_schema!({ "description": description, "type": "string" });
    let mut changed = time(generator);
    changed.insert("description".to_owned(), "When the status last changed.".into());
    json_schema!({
        "type": "array",
        "default": [],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": changed,
                "message": text("Details for a person. May be empty."),
                "observedGeneration": {
                    "description": "The metadata.generation of the resource that the condition describes.",
                    "type": "integer",
                    "format": "int64",
                },
                "reason": text("Why the condition has its status, as one CamelCase word for programs."),
                "status": text("True, False or Unknown."),
                "type": text("Name of the condition."),
            },
        },
    })
}

/// Of `Time`.
pub fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}
