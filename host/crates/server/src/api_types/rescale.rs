//! Rescaling on the wire.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many subtasks are to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RescaleRequest {
    /// The job's parallelism: that of its operators, and of its `file` and `generator` sources, that do not say their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub parallelism: Option<NonZeroU32>,
    /// That of operators, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, u32>)]
    pub operators: BTreeMap<String, NonZeroU32>,
    /// That of sources, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, u32>)]
    pub sources: BTreeMap<String, NonZeroU32>,
    /// Say what would become of it, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
}
