//! Parameters: what the job says under `parameters:`, as a typed struct.

use std::ops::Deref;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::bindings::gristmill::operator::types::Descriptor;
use crate::failure::{Failure, fatal};
use crate::part::{Field, Part, Role};

/// The job's parameters for this operator. Dereferences to `T`, which is usually declared with `#[parameters]`.
///
/// The JSON Schema of `T` (draft 2020-12) goes into the descriptor; the host checks the job against it when it is
/// submitted, and fills in the defaults.
#[derive(Debug)]
pub struct Parameters<T>(T);

impl<T> Deref for Parameters<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + JsonSchema> Part for Parameters<T> {
    const ROLE: Role = Role::Parameters;

    fn declare(_: &Field, descriptor: &mut Descriptor) -> u32 {
        descriptor.parameters_schema =
            serde_json::to_string(&schemars::schema_for!(T)).expect("a schema is JSON to begin with");
        0
    }

    fn build(_: &'static Field, _: u32, parameters: &str) -> Result<Self, Failure> {
        let parameters = if parameters.trim().is_empty() { "{}" } else { parameters };
        serde_json::from_str(parameters)
            .map(Self)
            .map_err(|error| fatal(format_args!("the parameters are not as the operator expects: {error}")))
    }
}
