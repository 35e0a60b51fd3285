//! Request bodies that are not JSON, for the description of the API; nothing of this is ever made.

use std::convert::Infallible;

use utoipa::openapi::schema::{Object, SchemaType};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Bytes as they are: in OpenAPI 3.1, a schema that has no type.
pub(crate) struct RawBytes(Infallible);

impl PartialSchema for RawBytes {
    fn schema() -> RefOr<Schema> {
        let bytes = Object::builder().schema_type(SchemaType::AnyValue);
        bytes.content_media_type("application/octet-stream").description(Some("Bytes as they are.")).into()
    }
}

impl ToSchema for RawBytes {}

/// A module as a browser's form sends it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is described and never made")]
pub(crate) struct ModuleForm {
    /// `name@version` to give it, unless the query has one.
    name: Option<String>,
    /// The Wasm file; the field may have another name.
    file: RawBytes,
}
